// SPDX-License-Identifier: GPL-2.0

//! Memory of this kernel that the next one will find.

use super::{
    check_record,
    entries_per_block,
    is_enabled,
    Format,
    Link, //
};
use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};
use core::{
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    mem::MaybeUninit,
    ptr::NonNull, //
};

/// A record that the next kernel will find, and the entries that it leads to.
///
/// It is preserved as long as the object lives. Dropping it takes that back, and frees the memory.
///
/// # Invariants
///
/// - `record` is to an initialised `F::Record` in memory from `kho_alloc_preserve()` that this
///   object owns.
/// - `blocks` is an initialised `struct kho_block_set` for entries of the size of `F::Entry`, and
///   not a restored one.
/// - The link of the record, if it has one, is the address of `blocks`.
///
/// # Examples
///
/// ```
/// # use kernel::{kho::{Format, Link}, prelude::*};
/// # #[derive(FromBytes, IntoBytes, zerocopy_derive::Immutable)]
/// # #[repr(C)]
/// # struct Header { count: u64, numbers: Link<u32> }
/// # struct Numbers;
/// # // SAFETY: Nothing else has this name, and it changes with the format.
/// # unsafe impl Format for Numbers {
/// #     const NAME: &'static CStr = c"rust-doctest-memory-v1";
/// #     type Record = Header;
/// #     type Entry = u32;
/// #     fn link(header: &mut Header) -> Option<&mut Link<u32>> { Some(&mut header.numbers) }
/// # }
/// use kernel::kho::{self, Memory};
///
/// if kho::is_enabled() {
///     let header = Header { count: 0, numbers: Link::NONE };
///     let mut memory = KBox::pin_init(Memory::<Numbers>::new(header), GFP_KERNEL)?;
///
///     // While memory can be short, room is made. To fill it needs none.
///     memory.as_mut().reserve(1000)?;
///     assert_eq!(memory.as_mut().write(1..=1000), Ok(()));
///     memory.as_mut().update(|header| header.count = 1000);
///     assert_ne!(memory.record().numbers.address(), 0);
///     // Dropped here: the next kernel won't find it.
/// }
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct Memory<F: Format> {
    record: NonNull<F::Record>,
    #[pin]
    blocks: Opaque<bindings::kho_block_set>,
    capacity: usize,
    // `blocks` has a list head. And who is lent this can't put another one in its place.
    #[pin]
    _pin: PhantomPinned,
    _format: PhantomData<F>,
}

impl<F: Format> Memory<F> {
    /// How many entries a block holds.
    const PER_BLOCK: usize = {
        let entries = entries_per_block::<F::Entry>();

        assert!(
            entries > 0,
            "an entry has to have a size, and to fit into a block"
        );
        entries
    };

    /// Allocates memory for `record`, which has no entries yet, and preserves it.
    ///
    /// The memory is a power of two of pages, so small records are better put together.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is no memory, `EOPNOTSUPP` when KHO is not enabled.
    pub fn new(record: F::Record) -> impl PinInit<Self, Error> {
        const { check_record::<F::Record>() };
        const { assert!(size_of::<F::Entry>() == 0 || entries_per_block::<F::Entry>() > 0) };

        try_pin_init!(Self {
            record: Self::allocate(record)?,
            // SAFETY: `blocks` is valid while the closure is called. A set that never grows has no
            // entries, so that it doesn't matter how large they are.
            blocks <- Opaque::ffi_init(|blocks| unsafe {
                bindings::kho_block_set_init(blocks, size_of::<F::Entry>().max(1))
            }),
            capacity: 0,
            _pin: PhantomPinned,
            _format: PhantomData,
        }? Error)
    }

    fn allocate(mut record: F::Record) -> Result<NonNull<F::Record>> {
        if !is_enabled() {
            return Err(EOPNOTSUPP);
        }
        if let Some(link) = F::link(&mut record) {
            *link = Link::NONE;
        }

        // SAFETY: FFI call without requirements.
        let memory = from_err_ptr(unsafe { bindings::kho_alloc_preserve(size_of::<F::Record>()) })?;
        let memory = NonNull::new(memory.cast()).ok_or(ENOMEM)?;

        // SAFETY: The memory is as large as a record, ours, and starts on a page, which is as
        // aligned as a record needs.
        unsafe { memory.write(record) };
        Ok(memory)
    }

    /// The record.
    #[inline]
    pub fn record(&self) -> &F::Record {
        // SAFETY: By the type invariant it is a record, which changes only while `self` is borrowed
        // mutably.
        unsafe { self.record.as_ref() }
    }

    /// Changes the record, but for its link, which stays.
    pub fn update<R>(self: Pin<&mut Self>, f: impl FnOnce(&mut F::Record) -> R) -> R {
        let this = self.project();
        // SAFETY: By the type invariant it is a record of ours, and `self` is borrowed mutably.
        let record = unsafe { this.record.as_mut() };
        let result = f(record);

        // INVARIANT: The link is what it has to be whatever `f` has made of it.
        if let Some(link) = F::link(record) {
            // SAFETY: By the type invariant the set is initialised, and it is borrowed mutably.
            *link = Link(unsafe { (*this.blocks.get()).head_pa }, PhantomData);
        }
        result
    }

    /// For how many entries there is room.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many bytes are preserved.
    pub fn size(&self) -> usize {
        let blocks = self.capacity / const { entries_per_block::<F::Entry>() }.max(1);

        size_of::<F::Record>()
            .next_power_of_two()
            .max(bindings::PAGE_SIZE)
            + blocks * bindings::KHO_BLOCK_SIZE
    }

    /// Makes room for `count` entries in all.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is no memory, `ENOSPC` when there are as many blocks as there can be.
    /// Nothing has changed then.
    pub fn reserve(mut self: Pin<&mut Self>, count: usize) -> Result {
        let this = self.as_mut().project();

        if count <= *this.capacity {
            return Ok(());
        }
        // SAFETY: By the type invariant the set is initialised and not restored; it is borrowed
        // mutably, so that nobody else uses it.
        to_result(unsafe { bindings::kho_block_set_grow(this.blocks.get(), count as u64) })?;
        *this.capacity = count.next_multiple_of(Self::PER_BLOCK);
        self.update(|_| ());
        Ok(())
    }

    /// Makes `entries` the entries that the record leads to, in place of those that it had.
    ///
    /// Needs no memory, and gives back room that is left over: the next kernel would refuse a block
    /// without an entry.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there is room for some of them only, which it leads to then.
    pub fn write(mut self: Pin<&mut Self>, entries: impl IntoIterator<Item = F::Entry>) -> Result {
        let this = self.as_mut().project();
        let blocks = this.blocks.get();
        let mut writer = MaybeUninit::uninit();
        let mut written = 0usize;
        let mut result = Ok(());

        // SAFETY: `writer` can be written to, and by the type invariant the set is initialised.
        unsafe { bindings::kho_block_set_it_init(writer.as_mut_ptr(), blocks) };
        for entry in entries {
            // SAFETY: `writer` was initialised, for a set that is borrowed mutably.
            let slot = unsafe { bindings::kho_block_set_it_reserve_entry(writer.as_mut_ptr()) };

            let Some(slot) = NonNull::new(slot.cast()) else {
                result = Err(ENOSPC);
                break;
            };
            // SAFETY: The slot is of the size of an entry, and ours. `entries_per_block()` checks
            // that it is aligned.
            unsafe { slot.write(entry) };
            written += 1;
        }
        // SAFETY: By the type invariant the set is initialised, and it is borrowed mutably. What is
        // freed are blocks behind the last one that was written to.
        unsafe { bindings::kho_block_set_shrink(blocks, written as u64) };
        *this.capacity = written.next_multiple_of(Self::PER_BLOCK);
        self.update(|_| ());
        result
    }

    /// The physical address of the record, which is what is handed over.
    #[inline]
    pub fn address(&self) -> u64 {
        // SAFETY: By the type invariant it is memory from `kho_alloc_preserve()`, hence in the
        // linear mapping; the call only computes with it.
        unsafe { bindings::virt_to_phys(self.record.as_ptr().cast()) }
    }
}

#[pinned_drop]
impl<F: Format> PinnedDrop for Memory<F> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant set and memory are initialised and ours, and nobody uses
        // them after this.
        unsafe {
            bindings::kho_block_set_destroy(self.blocks.get());
            bindings::kho_unpreserve_free(self.record.as_ptr().cast());
        }
    }
}

// SAFETY: The object owns its memory, and records and entries are `Send`.
unsafe impl<F: Format> Send for Memory<F> {}

// SAFETY: A shared reference to the object gives no more than one to the record, which is `Sync`.
unsafe impl<F: Format> Sync for Memory<F> {}
