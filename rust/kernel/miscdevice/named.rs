// SPDX-License-Identifier: GPL-2.0

//! Misc devices whose names are made at run time.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::{
    MiscDevice,
    MiscDeviceOptions,
    MiscDeviceRegistration, //
};
use crate::{
    prelude::*,
    str::CString, //
};
use core::ops::Deref;

/// A registration of a misc device that owns the device's name.
///
/// For drivers that register a misc device for each of their devices.
///
/// # Examples
///
/// ```
/// use kernel::{
///     fs::{file::flags, File},
///     miscdevice::{MiscDevice, MiscDeviceRegistration, NamedRegistration},
///     prelude::*,
///     str::CString,
///     sync::Arc,
/// };
///
/// struct Numbered;
///
/// #[vtable]
/// impl MiscDevice for Numbered {
///     type Ptr = Arc<u32>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<u32>> {
///         Ok(Arc::new(1, GFP_KERNEL)?)
///     }
/// }
///
/// let name = CString::try_from_fmt(fmt!("rust-doctest-{}", 7))?;
/// let device = KBox::pin_init(NamedRegistration::<Numbered>::register(name), GFP_KERNEL)?;
/// assert_eq!(device.name().to_bytes(), b"rust-doctest-7");
///
/// // A file of the device that nobody opened.
/// let (two, other) = (Arc::new(2, GFP_KERNEL)?, Arc::new(2, GFP_KERNEL)?);
/// let file = device.create_file(c"[rust-doctest]", two.clone(), flags::O_RDWR)?;
/// assert!(device.is_file_of(&file, two));
/// assert!(!device.is_file_of(&file, other));
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `registration` refers to `name`, which is dropped after it, and doesn't change.
#[pin_data]
pub struct NamedRegistration<T: MiscDevice> {
    // Must be dropped before `name`, so comes first.
    #[pin]
    registration: MiscDeviceRegistration<T>,
    name: CString,
}

impl<T: MiscDevice> NamedRegistration<T> {
    /// Registers a misc device of this name.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` when there is a device of this name, `EBUSY` when there is no minor number left,
    /// `ENOMEM`.
    pub fn register(name: CString) -> impl PinInit<Self, Error> {
        // SAFETY: The string is on the heap, where it stays when `name` is moved into the object.
        // By the type invariant it outlives the registration, which nobody can move out of the
        // object.
        let static_name: &'static CStr = unsafe { &*core::ptr::from_ref::<CStr>(&name) };

        try_pin_init!(Self {
            registration <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: static_name,
            }),
            name,
        })
    }

    /// The name of the device.
    pub fn name(&self) -> &CStr {
        &self.name
    }
}

impl<T: MiscDevice> Deref for NamedRegistration<T> {
    type Target = MiscDeviceRegistration<T>;

    fn deref(&self) -> &Self::Target {
        &self.registration
    }
}
