// SPDX-License-Identifier: GPL-2.0

//! Any number of entries of one type, in preserved blocks of a page each.
//!
//! C headers: [`include/linux/kho_block.h`](srctree/include/linux/kho_block.h),
//! [`include/linux/kho/abi/block.h`](srctree/include/linux/kho/abi/block.h)

use super::{
    free_restored,
    Handle,
    Preservable, //
};
use crate::{
    bindings,
    error::to_result,
    fmt,
    prelude::*,
    types::Opaque, //
};
use core::{
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ptr::NonNull, //
};

/// The header that each block starts with.
type Header = bindings::kho_block_header_ser;

/// How many entries of a type fit into a block.
const fn entries_per_block<T>() -> usize {
    // Entries follow the header at once, and each other, so this is what aligns them.
    assert!(size_of::<T>() > 0 && size_of::<Header>() % align_of::<T>() == 0);

    let entries = (bindings::KHO_BLOCK_SIZE - size_of::<Header>()) / size_of::<T>();

    assert!(entries > 0);
    entries
}

/// Any number of entries that the next kernel will find.
///
/// Wraps the kernel's `struct kho_block_set`. Entries are added at the end and never move; they
/// go away with the set. Dropping the set unpreserves and frees all of it.
///
/// # Invariants
///
/// - `set` is initialised, for entries of the size of `T`, and not restored.
/// - `writer` is an iterator of `set` that stands behind the last entry that was reserved, or was
///   never set up, if `set` has no block.
///
/// # Examples
///
/// ```
/// use kernel::kho::{self, BlockSet};
///
/// if kho::is_enabled() {
///     let mut set = KBox::pin_init(BlockSet::<u64>::new(), GFP_KERNEL)?;
///     assert!(set.handle().is_none());
///
///     // More than a block holds.
///     set.as_mut().grow(BlockSet::<u64>::PER_BLOCK + 1)?;
///     for _ in 0..=BlockSet::<u64>::PER_BLOCK {
///         assert_eq!(set.as_mut().reserve(), Some(&0));
///     }
///     assert_eq!(set.iter().count(), BlockSet::<u64>::PER_BLOCK + 1);
///     assert!(!set.handle().is_none());
/// }
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct BlockSet<T: Preservable> {
    #[pin]
    set: Opaque<bindings::kho_block_set>,
    writer: MaybeUninit<bindings::kho_block_set_it>,
    len: usize,
    capacity: usize,
    // `set` has a list head, and `writer` points to `set`.
    #[pin]
    _pin: PhantomPinned,
    _entries: PhantomData<T>,
}

impl<T: Preservable> BlockSet<T> {
    /// How many entries a block holds.
    pub const PER_BLOCK: usize = entries_per_block::<T>();

    /// Creates a set without entries, which takes no preserved memory yet.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `set` is valid while the closure is called.
            set <- Opaque::ffi_init(|set| unsafe {
                bindings::kho_block_set_init(set, size_of::<T>())
            }),
            writer: MaybeUninit::uninit(),
            len: 0,
            capacity: 0,
            _pin: PhantomPinned,
            _entries: PhantomData,
        })
    }

    /// Makes room for `count` entries in all.
    ///
    /// The next kernel refuses a set with a block that has no entry, so whoever makes room for
    /// more than is needed must reserve an entry of each block.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is no memory, `ENOSPC` when the set has as many blocks as a set can
    /// have. The set is as it was.
    pub fn grow(self: Pin<&mut Self>, count: usize) -> Result {
        if count <= self.capacity {
            return Ok(());
        }

        if !super::is_enabled() {
            return Err(EOPNOTSUPP);
        }

        // SAFETY: Nothing is moved out of the set.
        let this = unsafe { self.get_unchecked_mut() };

        // SAFETY: By the type invariant the set is initialised and not restored; `this` is
        // borrowed mutably, so nobody else uses it.
        to_result(unsafe { bindings::kho_block_set_grow(this.set.get(), count as u64) })?;

        if this.capacity == 0 {
            // INVARIANT: No entry was reserved so far, and the set has a first block now.
            // SAFETY: `writer` is valid for writes, and `set` as above.
            unsafe {
                bindings::kho_block_set_it_init(this.writer.as_mut_ptr(), this.set.get());
            }
        }
        this.capacity = count.next_multiple_of(Self::PER_BLOCK);

        Ok(())
    }

    /// Reserves the next entry, if there is room for one.
    ///
    /// All of its bytes are zero.
    pub fn reserve(self: Pin<&mut Self>) -> Option<&T> {
        if self.len == self.capacity {
            return None;
        }

        // SAFETY: Nothing is moved out of the set.
        let this = unsafe { self.get_unchecked_mut() };

        // SAFETY: The set has room, so it has a block, so by the type invariant `writer` is an
        // iterator of it.
        let entry = unsafe { bindings::kho_block_set_it_reserve_entry(this.writer.as_mut_ptr()) };
        let entry = NonNull::new(entry.cast::<T>())?;

        this.len += 1;
        // SAFETY: The entry has the size of a `T` and lies in zeroed memory, any bytes of which
        // are a valid `T`. `entries_per_block()` checks that it is aligned. It lives as long as
        // the set, and nobody has a mutable reference to it.
        Some(unsafe { entry.as_ref() })
    }

    /// How many entries are reserved.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no entry is reserved.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// For how many entries there is room, the reserved ones included.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where the next kernel finds the set; [`Handle::NONE`] while it has no block.
    ///
    /// It stays the same from the first [`BlockSet::grow`] on.
    pub fn handle(&self) -> Handle {
        // SAFETY: By the type invariant the set is initialised; the address of the first block is
        // written by `grow()`, which needs the set mutably, so not now. It is this kernel's
        // memory.
        unsafe { Handle::from_raw((*self.set.get()).head_pa) }
    }

    /// Goes through the reserved entries, in the order in which they were reserved.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut reader = MaybeUninit::<bindings::kho_block_set_it>::uninit();

        // SAFETY: `reader` is valid for writes, and by the type invariant the set is initialised.
        // The iterator reads the set, which doesn't change while it is borrowed.
        let mut reader = unsafe {
            bindings::kho_block_set_it_init(reader.as_mut_ptr(), self.set.get());
            reader.assume_init()
        };
        let mut left = self.len;

        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            // SAFETY: `reader` is an iterator of the set, which is borrowed.
            let entry = unsafe { bindings::kho_block_set_it_read_entry(&mut reader) };

            // SAFETY: As in `reserve()`.
            NonNull::new(entry.cast::<T>()).map(|entry| unsafe { entry.as_ref() })
        })
    }
}

#[pinned_drop]
impl<T: Preservable> PinnedDrop for BlockSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the set is initialised and not restored; nobody uses it or
        // its entries after this.
        unsafe { bindings::kho_block_set_destroy(self.set.get()) };
    }
}

// SAFETY: The set owns its blocks, and `T` is `Send`.
unsafe impl<T: Preservable> Send for BlockSet<T> {}

// SAFETY: A shared reference to the set gives no more than shared references to its entries, and
// `T` is `Sync`.
unsafe impl<T: Preservable> Sync for BlockSet<T> {}

/// What is wrong with a chain of blocks that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// There is no preserved memory where a block should be, or it is a block that was met before.
    NoBlock(Handle),
    /// A block says that it has this many entries, and it can't.
    Count(u64),
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBlock(handle) => f.write_fmt(fmt!("no block was preserved at {handle}")),
            Self::Count(count) => f.write_fmt(fmt!("a block has {count} entries")),
        }
    }
}

/// A set of entries that the previous kernel preserved, taken over by this one.
///
/// The counterpart of [`BlockSet`]. The kernel's `kho_block_set_restore()` trusts each address in
/// the chain, and frees the blocks when one of them is wrong; this takes over a block at a time,
/// follows no address at which KHO preserved nothing, and needs no memory of its own.
///
/// Dropping it frees the blocks.
///
/// # Examples
///
/// ```
/// use kernel::kho::{ChainError, Handle, RestoredBlockSet};
///
/// // The previous kernel had nothing to say.
/// let set = RestoredBlockSet::<u64>::restore(Handle::NONE);
/// assert!(set.is_ok_and(|set| set.iter().next().is_none()));
///
/// // It never was at this address.
/// // SAFETY: No kernel preserves memory at an address that isn't that of a page.
/// let nowhere = unsafe { Handle::from_raw(0x1001) };
/// let set = RestoredBlockSet::<u64>::restore(nowhere);
/// assert_eq!(set.err(), Some(ChainError::NoBlock(nowhere)));
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// - `first`, and `next` of each block up to the last one, where it is 0, are blocks that were
///   restored from KHO and that this object owns.
/// - `count` of each block is between 1 and [`BlockSet::PER_BLOCK`].
/// - Nobody writes to the headers.
pub struct RestoredBlockSet<T: Preservable> {
    first: Option<NonNull<Header>>,
    _entries: PhantomData<T>,
}

impl<T: Preservable> RestoredBlockSet<T> {
    /// A set without entries.
    pub const fn empty() -> Self {
        // INVARIANT: There are no blocks.
        Self {
            first: None,
            _entries: PhantomData,
        }
    }

    /// Takes over the set that the previous kernel preserved at `handle`.
    ///
    /// # Errors
    ///
    /// What is wrong with the chain of blocks. Blocks up to there stay allocated for good, and
    /// none is freed: what can't be made sense of may still be relied on.
    pub fn restore(handle: Handle) -> Result<Self, ChainError> {
        let mut set = Self::empty();

        set.restore_blocks(handle)
            .try_for_each(|block| block.map(drop))?;
        Ok(set)
    }

    /// Takes over the set that the previous kernel preserved at `handle`, a block at a time, and
    /// gives out the entries of each.
    ///
    /// For those who check the entries as well, and want to look at each block once. Entries that
    /// this set had before are freed. It has those of the new one when the iterator has come to an
    /// end without error. If it doesn't, the blocks up to there stay allocated for good.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::kho::{ChainError, Handle, RestoredBlockSet};
    ///
    /// // SAFETY: No kernel preserves memory at an address that isn't that of a page.
    /// let nowhere = unsafe { Handle::from_raw(0x1001) };
    /// let mut set = RestoredBlockSet::<u64>::empty();
    /// let mut blocks = set.restore_blocks(nowhere);
    ///
    /// assert_eq!(blocks.next(), Some(Err(ChainError::NoBlock(nowhere))));
    /// assert_eq!(blocks.next(), None);
    /// assert!(set.iter().next().is_none());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn restore_blocks(&mut self, handle: Handle) -> RestoreBlocks<'_, T> {
        *self = Self::empty();
        // INVARIANT: Nothing was restored yet.
        RestoreBlocks {
            set: self,
            first: None,
            next: handle,
        }
    }

    /// Goes through the blocks.
    fn blocks(&self) -> impl Iterator<Item = NonNull<Header>> {
        let mut next = self.first;

        core::iter::from_fn(move || {
            let block = next?;

            // SAFETY: By the type invariant.
            next = unsafe { Self::next(block) };
            Some(block)
        })
    }

    /// The block after `block`.
    ///
    /// # Safety
    ///
    /// `block` must be a block of such a set.
    unsafe fn next(block: NonNull<Header>) -> Option<NonNull<Header>> {
        // SAFETY: By the safety requirements, and the type invariant, the header can be read.
        let next = unsafe { block.read() }.next;

        if next == 0 {
            return None;
        }
        // SAFETY: The address is that of a block that was restored, hence in the linear mapping;
        // the call only computes with it.
        NonNull::new(unsafe { bindings::phys_to_virt(next) }.cast())
    }

    /// Goes through the entries, in the order in which they were reserved.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks().flat_map(|block| {
            // SAFETY: By the type invariant. The blocks live as long as the set.
            unsafe { Self::entries(block) }
        })
    }

    /// The entries of `block`.
    ///
    /// # Safety
    ///
    /// - `block` must be a block that was restored, with a count between 1 and
    ///   [`BlockSet::PER_BLOCK`].
    /// - It must not be freed for `'a`, and nobody may write to its header, or have a mutable
    ///   reference to its entries.
    unsafe fn entries<'a>(block: NonNull<Header>) -> &'a [T] {
        // SAFETY: By the safety requirements the header can be read.
        let count = unsafe { block.read() }.count as usize;

        // SAFETY: The entries begin behind the header, and `entries_per_block()` checks that they
        // are aligned.
        let entries = unsafe { block.add(1) }.cast::<T>();

        // SAFETY: By the safety requirements the block has room for `count` entries, which any
        // bytes are, nobody has a mutable reference to them, and they live for `'a`.
        unsafe { core::slice::from_raw_parts(entries.as_ptr(), count) }
    }

    /// Keeps the blocks allocated for good.
    ///
    /// For what can't be made sense of: others may still rely on what it describes.
    pub fn leak(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl<T: Preservable> Drop for RestoredBlockSet<T> {
    fn drop(&mut self) {
        let mut next = self.first;

        while let Some(block) = next {
            // SAFETY: By the type invariant; the block is freed only after this.
            next = unsafe { Self::next(block) };
            // SAFETY: By the type invariant the block was restored and is ours.
            unsafe { free_restored(block.cast()) };
        }
    }
}

// SAFETY: The set owns its blocks, and `T` is `Send`.
unsafe impl<T: Preservable> Send for RestoredBlockSet<T> {}

// SAFETY: A shared reference to the set gives no more than shared references to its entries, and
// `T` is `Sync`.
unsafe impl<T: Preservable> Sync for RestoredBlockSet<T> {}

/// Takes over blocks, one after the other; see [`RestoredBlockSet::restore_blocks`].
///
/// # Invariants
///
/// - `first`, and `next` of each block up to the last one, where it is `next`, are blocks
///   that were restored, are in nobody else's hands, and have a count between 1 and
///   [`BlockSet::PER_BLOCK`].
/// - `set` has no block before that is the end.
pub struct RestoreBlocks<'a, T: Preservable> {
    set: &'a mut RestoredBlockSet<T>,
    first: Option<NonNull<Header>>,
    next: Handle,
}

impl<'a, T: Preservable> RestoreBlocks<'a, T> {
    /// Takes over the block at `handle`.
    fn restore(&mut self, handle: Handle) -> Result<&'a [T], ChainError> {
        let block = handle
            .restore(bindings::KHO_BLOCK_SIZE)
            .ok_or(ChainError::NoBlock(handle))?
            .cast::<Header>();

        // SAFETY: The block was just restored, and a header is nothing but integers.
        let header = unsafe { block.read() };

        let count = header.count;
        if count == 0 || count > BlockSet::<T>::PER_BLOCK as u64 {
            return Err(ChainError::Count(count));
        }

        // INVARIANT: The block was restored, and its count checked.
        self.first.get_or_insert(block);
        // SAFETY: What a block is chained to is meant for whom the block is meant for.
        self.next = unsafe { Handle::from_raw(header.next) };

        // SAFETY: The count was checked. The block becomes one of `set`, which is borrowed for
        // `'a`, or is never freed.
        Ok(unsafe { RestoredBlockSet::entries(block) })
    }
}

impl<'a, T: Preservable> Iterator for RestoreBlocks<'a, T> {
    type Item = Result<&'a [T], ChainError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = core::mem::replace(&mut self.next, Handle::NONE);

        if next.is_none() {
            // INVARIANT: Each block was restored, which works once, so the chain has an end, which
            // is here, and the count of each was checked.
            self.set.first = self.first;
            return None;
        }

        let entries = self.restore(next);

        if entries.is_err() {
            // INVARIANT: The end is here, and these blocks are nobody's from now on.
            self.first = None;
        }
        Some(entries)
    }
}
