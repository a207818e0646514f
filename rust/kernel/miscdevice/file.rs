// SPDX-License-Identifier: GPL-2.0

//! Recognising and creating the files of a misc device.
//!
//! C headers: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h),
//! [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)

use super::{
    MiscDevice,
    MiscDeviceRegistration, //
};
use crate::{
    bindings,
    error::from_err_ptr,
    fs::File,
    prelude::*,
    sync::aref::ARef,
    types::ForeignOwnable, //
};
use core::ptr::NonNull;

impl<T: MiscDevice> MiscDeviceRegistration<T> {
    /// The file operations of this device's files.
    fn fops(&self) -> *const bindings::file_operations {
        // SAFETY: By the type invariant the device is registered; the field never changes.
        unsafe { (*self.as_raw()).fops }
    }

    /// A number that tells private data of files from all others, as long as it exists.
    ///
    /// `data` is shared between files, as an [`Arc`](crate::sync::Arc) is.
    ///
    /// Context: Any context in which `data` can be dropped.
    pub fn data_id(data: T::Ptr) -> usize {
        let data = data.into_foreign();
        let id = data.addr();

        // SAFETY: The pointer came from `into_foreign` just now.
        drop(unsafe { T::Ptr::from_foreign(data) });
        id
    }

    /// The [`data_id`] of the private data of `file`, if it is a file of a device of this type.
    ///
    /// That is one that userspace opened, or one that came from [`create_file`].
    ///
    /// Context: Any context.
    ///
    /// [`data_id`]: MiscDeviceRegistration::data_id
    /// [`create_file`]: MiscDeviceRegistration::create_file
    pub fn file_data_id(&self, file: &File) -> Option<usize> {
        // SAFETY: The file is open, as there is a reference to it. The fields are only compared.
        let (f_op, private_data) =
            unsafe { ((*file.as_ptr()).f_op, (*file.as_ptr()).private_data) };

        (f_op == self.fops()).then(|| private_data.addr())
    }

    /// Tells whether `file` is a file of a device of this type whose private data is `data`.
    ///
    /// Context: Any context in which `data` can be dropped.
    pub fn is_file_of(&self, file: &File, data: T::Ptr) -> bool {
        self.file_data_id(file) == Some(Self::data_id(data))
    }

    /// Creates a file of this device, as if userspace had opened its node.
    ///
    /// [`MiscDevice::open`] is not called: `data` is the private data of the file. `name` is what
    /// userspace sees behind `anon_inode:` when it looks up the file's path. The module can't be
    /// unloaded while the file is open.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`, or `ENOENT` when the module is being unloaded.
    pub fn create_file(&self, name: &CStr, data: T::Ptr, flags: u32) -> Result<ARef<File>> {
        let data = data.into_foreign();

        // SAFETY: `name` is nul-terminated and copied. The operations are those of `T`, and `data`
        // came from `T::Ptr::into_foreign`, as they expect.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_getfile_fmode(
                name.as_char_ptr(),
                self.fops(),
                data,
                flags as kernel::ffi::c_int,
                // What opening a device node adds.
                bindings::FMODE_PREAD | bindings::FMODE_PWRITE,
            )
        })
        .inspect_err(|_| {
            // SAFETY: There is no file, so `data` is still ours.
            drop(unsafe { T::Ptr::from_foreign(data) })
        })?;

        // SAFETY: We own the reference to the file, and nobody knows the file yet, so its position
        // is not in use.
        Ok(unsafe { ARef::from_raw(NonNull::new(file).ok_or(ENOMEM)?.cast()) })
    }
}
