// SPDX-License-Identifier: GPL-2.0

//! What the previous kernel left.

use super::{
    check_record,
    entries_per_block,
    Format,
    Header, //
};
use crate::{
    bindings,
    error::to_result,
    fmt,
    prelude::*, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::NonNull, //
};

/// Why something that was handed over can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// There is no preserved memory where the record should be.
    NoRecord(u64),
    /// There is none where a block of entries should be, or it is a block that was met before.
    NoBlock(u64),
    /// A block says that it has this many entries, and it can't.
    Count(u64),
    /// There is no memory to read it.
    NoMemory,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord(address) => f.write_fmt(fmt!("nothing was preserved at {address:#x}")),
            Self::NoBlock(address) => f.write_fmt(fmt!("no block was preserved at {address:#x}")),
            Self::Count(count) => f.write_fmt(fmt!("a block has {count} entries")),
            Self::NoMemory => f.write_str("no memory"),
        }
    }
}

impl From<Unreadable> for Error {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::NoMemory => ENOMEM,
            _ => EINVAL,
        }
    }
}

/// A folio that the previous kernel preserved, taken over by this one. It stays allocated for good,
/// unless it is [freed](Folio::free).
///
/// # Invariants
///
/// The pointer is to the start of a folio that was restored from KHO, of which this object owns the
/// only reference.
struct Folio(NonNull<c_void>);

impl Folio {
    /// Takes over at least `size` bytes that are preserved at `address`. Of several callers with
    /// the same address, one succeeds.
    fn restore(address: u64, size: usize) -> Option<Self> {
        // SAFETY: The function accepts any address.
        let folio = NonNull::new(unsafe { bindings::kho_try_restore_folio(address, size) })?;

        // INVARIANT: The function gives a folio to one caller only.
        // SAFETY: It was just restored, and is ours.
        NonNull::new(unsafe { bindings::folio_address(folio.as_ptr()) }).map(Self)
    }

    /// # Safety
    ///
    /// Nobody else may rely on the memory any more.
    unsafe fn free(self) {
        // SAFETY: By the type invariant the reference to the folio is ours to give back.
        unsafe { bindings::folio_put(bindings::virt_to_folio(self.0.as_ptr())) };
    }
}

// SAFETY: A folio may be given back by anybody.
unsafe impl Send for Folio {}

/// Something that the previous kernel handed over.
///
/// # Invariants
///
/// What is preserved at `address`, if anything is, was handed over under the name of `F`.
pub struct HandedOver<F: Format> {
    address: u64,
    _format: PhantomData<F>,
}

impl<F: Format> HandedOver<F> {
    /// # Safety
    ///
    /// If anything was preserved at `address`, it was handed over under the name of `F`, and is
    /// meant for the caller.
    #[inline]
    pub unsafe fn new(address: u64) -> Self {
        // INVARIANT: The caller guarantees what was preserved at the address.
        Self {
            address,
            _format: PhantomData,
        }
    }

    /// Where it is.
    #[inline]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// A copy of the record, of which the memory stays as it is.
    ///
    /// While this runs, nobody else can look at it, or take it over.
    ///
    /// # Errors
    ///
    /// `ENOENT` when nothing was preserved there, or less than a record, or when it was taken over
    /// already.
    pub fn record(&self) -> Result<F::Record> {
        const { check_record::<F::Record>() };

        let mut record = MaybeUninit::<F::Record>::uninit();

        // SAFETY: The function accepts any address, and there is room for a record.
        to_result(unsafe {
            bindings::kho_peek(
                self.address,
                record.as_mut_ptr().cast(),
                size_of::<F::Record>(),
            )
        })?;
        // SAFETY: All of it was written to, and any bytes are a record.
        Ok(unsafe { record.assume_init() })
    }

    /// Takes it over.
    ///
    /// # Errors
    ///
    /// [`Unreadable::NoRecord`], as for [`HandedOver::record`], or [`Unreadable::NoMemory`].
    pub fn take_over(self) -> Result<TakenOver<F>, Unreadable> {
        const { check_record::<F::Record>() };

        // Most records lead to one block of entries, or none.
        let mut folios = KVec::with_capacity(2, GFP_KERNEL).map_err(|_| Unreadable::NoMemory)?;
        let folio = Folio::restore(self.address, size_of::<F::Record>())
            .ok_or(Unreadable::NoRecord(self.address))?;
        // SAFETY: The folio is large enough, and starts on a page, which is as aligned as a record
        // needs. Any bytes are one. It is read once.
        let record = unsafe { folio.0.cast().read_volatile() };

        // There is room.
        let _ = folios.push_within_capacity(folio);
        // INVARIANT: By that of `HandedOver`, and the first requirement of `Format`.
        Ok(TakenOver { record, folios })
    }

    /// Frees it, and all that it leads to, if it can be read.
    ///
    /// # Errors
    ///
    /// Why it can't be read. What was met until then stays allocated for good.
    pub fn free(self) -> Result<(), Unreadable> {
        let mut taken_over = self.take_over()?;

        if F::link(&mut taken_over.record).is_some() {
            taken_over.for_each_entry(|_| Ok::<_, Unreadable>(()))?;
        }
        taken_over.free();
        Ok(())
    }
}

/// Something that the previous kernel handed over, and that this one has taken over.
///
/// Dropping it leaves the memory allocated for good, as befits what can't be made sense of: others
/// may still rely on what it describes.
///
/// # Invariants
///
/// - `record` is a copy of what was handed over under the name of `F`, so that its link leads to
///   nothing but entries that were preserved for it.
/// - `folios` is memory that was preserved for the record or its entries.
pub struct TakenOver<F: Format> {
    record: F::Record,
    folios: KVec<Folio>,
}

impl<F: Format> TakenOver<F> {
    /// The record.
    #[inline]
    pub fn record(&self) -> &F::Record {
        &self.record
    }

    /// Takes over the entries, and calls `f` with each, in the order in which they were written.
    ///
    /// The kernel's `kho_block_set_restore()` trusts each address in the chain, and frees the
    /// blocks when one of them is wrong; this follows no address at which KHO preserved nothing.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// What is wrong with the chain of blocks, or [`Unreadable::NoMemory`], or the error of `f`.
    pub fn for_each_entry<E: From<Unreadable>>(
        &mut self,
        mut f: impl FnMut(F::Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let per_block = const { entries_per_block::<F::Entry>() };
        let mut next = F::link(&mut self.record).map_or(0, |link| link.address());

        while next != 0 {
            self.folios
                .reserve(1, GFP_KERNEL)
                .map_err(|_| Unreadable::NoMemory)?;

            let folio =
                Folio::restore(next, bindings::KHO_BLOCK_SIZE).ok_or(Unreadable::NoBlock(next))?;
            let block = folio.0.cast::<Header>();

            // INVARIANT: It is what the link of the record, or another block of it, leads to.
            // There is room.
            let _ = self.folios.push_within_capacity(folio);
            // SAFETY: The folio is that large, and a header is nothing but integers. It is read
            // once.
            let header = unsafe { block.read_volatile() };

            if header.count == 0 || header.count > per_block as u64 {
                return Err(Unreadable::Count(header.count).into());
            }
            for n in 0..header.count as usize {
                // SAFETY: That many entries fit into the folio behind the header, which aligns
                // them, as `entries_per_block()` checks, and any bytes are one. Each is read once.
                f(unsafe { block.add(1).cast::<F::Entry>().add(n).read_volatile() })?;
            }
            next = header.next;
        }
        Ok(())
    }

    /// Frees the memory: it was read, and made sense.
    pub fn free(self) {
        for folio in self.folios {
            // SAFETY: By the type invariant it was preserved for the record and its entries, which
            // are ours.
            unsafe { folio.free() };
        }
    }
}
