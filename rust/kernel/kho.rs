// SPDX-License-Identifier: GPL-2.0

//! Memory that outlives a kernel: Kexec HandOver (KHO).
//!
//! One kernel puts what the next one needs to know into memory that KHO keeps: a [`Record`], and
//! any number of entries that it leads to. A [`Format`] says what they look like. What is handed
//! over is the physical address of the record:
//!
//! - [`Memory`] is memory of this kernel that the next one will find.
//! - [`HandedOver`] is what the previous kernel left: it is read once, and given back.
//!
//! What ends with the kernel needs no care: when the machine jumps into the next kernel, everything
//! that is preserved at that moment is handed over.
//!
//! What comes from another kernel is copied before it is looked at, and nobody has a reference to
//! where it was. What is at an address is found out by asking KHO: where nothing was preserved, or
//! less than is wanted, or where it was taken over before, there is an error.
//!
//! C headers: [`include/linux/kexec_handover.h`](srctree/include/linux/kexec_handover.h),
//! [`include/linux/kho_block.h`](srctree/include/linux/kho_block.h)

use crate::{
    bindings,
    prelude::*, //
};
use core::marker::PhantomData;
use zerocopy::Immutable;

mod handed_over;
mod memory;
mod preserved;

pub use self::{
    handed_over::{
        HandedOver,
        TakenOver,
        Unreadable, //
    },
    memory::Memory,
    preserved::{
        unpreserved,
        Lookup,
        Preserved, //
    }, //
};

/// Tells whether Kexec HandOver is enabled (`kho=on`, or its default).
///
/// Without it nothing can be preserved.
#[inline]
pub fn is_enabled() -> bool {
    // SAFETY: FFI call without requirements.
    unsafe { bindings::kho_is_enabled() }
}

/// What may be handed over: plain data, of which any bytes are a value, and no byte is padding.
///
/// # Examples
///
/// ```
/// use kernel::{kho::Record, prelude::*};
///
/// #[derive(FromBytes, IntoBytes, zerocopy_derive::Immutable)]
/// #[repr(C)]
/// struct Id {
///     number: u32,
///     part: [u16; 2],
/// }
///
/// fn is_record<R: Record>() {}
///
/// is_record::<Id>();
/// ```
pub trait Record: FromBytes + IntoBytes + Immutable + Send + Sync + 'static {}

impl<R: FromBytes + IntoBytes + Immutable + Send + Sync + 'static> Record for R {}

/// The address of the entries that a record leads to, as it is handed over.
///
/// [`Memory`] writes it, and [`TakenOver`] follows it. To anybody else it is a number.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, zerocopy_derive::Immutable)]
#[repr(transparent)]
pub struct Link<T>(u64, PhantomData<fn() -> T>);

impl<T> Link<T> {
    /// Leads nowhere.
    pub const NONE: Self = Self(0, PhantomData);

    /// The physical address of the first block of entries, or 0.
    #[inline]
    pub const fn address(&self) -> u64 {
        self.0
    }
}

/// A format in which one kernel hands data over to the next, and its name.
///
/// # Safety
///
/// - Whatever any kernel hands over under the [`NAME`](Format::NAME) is a [`Record`] as it is in
///   [`Memory`] of this format: of at least its size, and with entries behind its link only that
///   were preserved for it. Others may use what is preserved elsewhere, and expect that nobody
///   frees it.
/// - [`link`](Format::link) gives the same field of the record each time.
///
/// # Examples
///
/// ```
/// use kernel::{kho::{Format, Link}, prelude::*};
///
/// /// So many numbers.
/// #[derive(FromBytes, IntoBytes, zerocopy_derive::Immutable)]
/// #[repr(C)]
/// struct Header {
///     count: u64,
///     numbers: Link<u32>,
/// }
///
/// struct Numbers;
///
/// // SAFETY: Nothing else has this name, and it changes with the format.
/// unsafe impl Format for Numbers {
///     const NAME: &'static CStr = c"rust-doctest-numbers-v1";
///     type Record = Header;
///     type Entry = u32;
///
///     fn link(header: &mut Header) -> Option<&mut Link<u32>> {
///         Some(&mut header.numbers)
///     }
/// }
/// # let _ = Numbers::NAME;
/// ```
pub unsafe trait Format: 'static {
    /// The name by which the next kernel finds what was handed over; changes with the format.
    const NAME: &'static CStr;

    /// What is handed over.
    type Record: Record;

    /// What the record leads to any number of; `()` if to nothing.
    type Entry: Record;

    /// Where a record says where its entries are.
    fn link(_record: &mut Self::Record) -> Option<&mut Link<Self::Entry>> {
        None
    }
}

/// The header that each block of entries starts with.
type Header = bindings::kho_block_header_ser;

/// How many entries of a type fit into a block: none of a type without a size.
const fn entries_per_block<T>() -> usize {
    // Entries follow the header at once, and each other, so this is what aligns them.
    assert!(align_of::<T>() <= 8 && size_of::<Header>() % 8 == 0);
    match size_of::<T>() {
        0 => 0,
        size => (bindings::KHO_BLOCK_SIZE - size_of::<Header>()) / size,
    }
}

/// Checks that a type can be the record of a format.
const fn check_record<T>() {
    assert!(size_of::<T>() > 0, "a record has to have a size");
    assert!(align_of::<T>() <= 8 && size_of::<T>() <= bindings::KHO_BLOCK_SIZE);
}
