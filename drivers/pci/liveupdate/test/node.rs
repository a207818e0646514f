// SPDX-License-Identifier: GPL-2.0

//! Nodes of devices in `/dev`, and files of them.

use kernel::{
    bindings,
    error::from_err_ptr,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        Arc, //
    },
    types::ForeignOwnable, //
};

/// A node, whose files are of type `T`, and have an `Arc<D>` each.
///
/// # Invariants
///
/// `registration` refers to `_name`, which is dropped after it, and doesn't change.
#[pin_data]
pub(crate) struct Node<T: MiscDevice<Ptr = Arc<D>>, D: Send + Sync + 'static> {
    // Must be dropped before the name, so comes first.
    #[pin]
    registration: MiscDeviceRegistration<T>,
    _name: CString,
}

impl<T: MiscDevice<Ptr = Arc<D>>, D: Send + Sync + 'static> Node<T, D> {
    /// Makes a node of this name.
    pub(crate) fn new(name: CString) -> impl PinInit<Self, Error> {
        // SAFETY: The string is on the heap, where it stays when `name` is moved into the object.
        // By the type invariant it outlives the registration, which nobody can move out of the
        // object.
        let static_name: &'static CStr = unsafe { &*core::ptr::from_ref::<CStr>(&name) };

        try_pin_init!(Self {
            registration <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: static_name,
            }),
            _name: name,
        })
    }

    /// Whether this is the node that is registered as `other`.
    pub(crate) fn is(&self, other: &MiscDeviceRegistration<T>) -> bool {
        core::ptr::eq(&self.registration, other)
    }

    /// The file operations of this node's files, and of all others of its type.
    fn fops(&self) -> *const bindings::file_operations {
        // SAFETY: The device is registered; the field never changes.
        unsafe { (*self.registration.as_raw()).fops }
    }

    /// A number that tells the files that have `data` from all others, as long as it exists.
    pub(crate) fn id(data: &Arc<D>) -> usize {
        Arc::as_ptr(data).addr()
    }

    /// The [`id`](Node::id) of what a file has, if it is of this type.
    pub(crate) fn id_of(&self, file: &File) -> Option<usize> {
        // SAFETY: The file is open, as there is a reference to it. Its operations don't change.
        if unsafe { (*file.as_ptr()).f_op } != self.fops() {
            return None;
        }
        // SAFETY: It is one of ours, of which this was set before anybody could have the file. It
        // is the address of a `D`, of which a reference was given to the file.
        Some(unsafe { T::Ptr::borrow((*file.as_ptr()).private_data) }).map(|data| {
            let data: &D = &data;

            core::ptr::from_ref(data).addr()
        })
    }

    /// Makes a file of this node, as if userspace had opened it.
    ///
    /// `name` is what userspace sees behind `anon_inode:` when it looks up the file's path. The
    /// module can't be unloaded while the file is open.
    pub(crate) fn create_file(&self, name: &CStr, data: Arc<D>, flags: u32) -> Result<ARef<File>> {
        let data = data.into_foreign();

        // SAFETY: `name` is nul-terminated and copied. The operations are those of `T`, and `data`
        // came from `T::Ptr::into_foreign`, as they expect.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_getfile_fmode(
                name.as_char_ptr(),
                self.fops(),
                data,
                flags as c_int,
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
        Ok(unsafe { ARef::from_raw(core::ptr::NonNull::new(file).ok_or(ENOMEM)?.cast()) })
    }
}
