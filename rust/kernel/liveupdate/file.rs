// SPDX-License-Identifier: GPL-2.0

//! Handlers of files that survive a live update.

use super::{
    compatible,
    FileLifecycleBound,
    Flb, //
};
use crate::{
    bindings,
    error::{
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    fs::File,
    kho::{
        Format,
        HandedOver,
        Memory, //
    },
    module::this_module,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        }, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};
use core::marker::PhantomData;

/// What became of a file that was handed over.
pub enum Retrieval<'a> {
    /// Userspace never asked for it.
    NotAttempted,
    /// This is it.
    Done(&'a File),
    /// It was retrieved, and whoever had it has closed it. Only if LUO [does not keep it
    /// open](FileHandler::KEEPS_NO_FILE).
    Closed,
    /// [`FileHandler::retrieve`] failed with this error.
    Failed(Error),
}

/// The promise that comes with [`FileHandler::KEEPS_NO_FILE`].
pub struct KeepsNoFile(());

impl KeepsNoFile {
    /// # Safety
    ///
    /// Each file that the handler's [`retrieve`](FileHandler::retrieve) gives has to be
    /// [forgotten](super::forget) by who releases it, before its memory goes. Its position must not
    /// be one that is used without a lock.
    #[inline]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

/// Saves and restores one kind of file.
///
/// In the old kernel, [`preserve`] makes a record for the next kernel and a state, which are there
/// until the file is unpreserved: to drop the state undoes it all. When the machine is on its way
/// down, [`freeze`] is called, undone by [`unfreeze`] if the reboot is called off. In the new
/// kernel comes [`retrieve`], if userspace asks for the file, then [`finish`], in any case.
///
/// LUO calls these one at a time for each file, and keeps a reference to the file from `preserve`
/// on, and, unless [`KEEPS_NO_FILE`] is set, from `retrieve` on. It gives it back when the handler
/// [has the file forgotten](super::forget). All may sleep, but must not wait for a user. While
/// files of it are preserved, the module that implements the trait can't be unloaded.
///
/// [`preserve`]: FileHandler::preserve
/// [`freeze`]: FileHandler::freeze
/// [`unfreeze`]: FileHandler::unfreeze
/// [`retrieve`]: FileHandler::retrieve
/// [`finish`]: FileHandler::finish
/// [`KEEPS_NO_FILE`]: FileHandler::KEEPS_NO_FILE
///
/// # Examples
///
/// A handler for files that have nothing but a number, without any address:
///
/// ```
/// use kernel::{
///     fs::File,
///     kho::Format,
///     liveupdate::{self, FileHandler, Handler, Retrieval},
///     prelude::*,
///     sync::aref::ARef,
/// };
///
/// struct NumberFiles;
///
/// // SAFETY: Nothing else has this name, and it changes with the format.
/// unsafe impl Format for NumberFiles {
///     const NAME: &'static CStr = c"rust-doctest-file-v1";
///     type Record = u64;
///     type Entry = ();
/// }
///
/// #[vtable]
/// impl FileHandler for NumberFiles {
///     type Format = NumberFiles;
///     type State = ();
///
///     fn can_preserve(_file: &File) -> bool {
///         // A real handler looks at whether the file is one of its own.
///         false
///     }
///
///     fn preserve(_file: &File) -> Result<(u64, ())> {
///         Ok((42, ()))
///     }
///
///     fn retrieve(number: Option<u64>) -> Result<ARef<File>> {
///         let _number = number.ok_or(EINVAL)?;
///
///         Err(ENODEV)
///     }
///
///     fn finish(_file: Retrieval<'_>, _number: Option<u64>) {}
/// }
///
/// static HANDLER: Handler<NumberFiles> = Handler::new();
///
/// // It was not possible to bind what its files share. Nothing is left of that.
/// assert!(HANDLER.register(|_| Err(ENOMEM)).is_err());
///
/// // Without data that its files share. To be kept as long as the driver is there.
/// let registration = HANDLER.register(|_| Ok(()));
///
/// assert_eq!(registration.is_ok(), liveupdate::enabled());
/// # Ok::<(), Error>(())
/// ```
#[vtable]
pub trait FileHandler: 'static {
    /// What a record looks like in memory, and the name by which the next kernel finds the handler.
    type Format: Format;

    /// What this kernel keeps for a preserved file.
    type State: Send + 'static;

    /// LUO does not keep a file open that was retrieved, so that it is released when its last user
    /// closes it. It may be retrieved again.
    const KEEPS_NO_FILE: Option<KeepsNoFile> = None;

    /// Tells whether `file` is of the kind that this handler preserves.
    fn can_preserve(file: &File) -> bool;

    /// Saves the state of `file`.
    ///
    /// Returns what the next kernel gets, and what this one keeps until the file is unpreserved.
    fn preserve(file: &File) -> Result<(<Self::Format as Format>::Record, Self::State)>;

    /// Settles the state of `file`: the machine is on its way down. There is no file if it was
    /// forgotten.
    ///
    /// What the next kernel gets can be changed for the last time. An error calls off the reboot.
    fn freeze(
        _file: Option<&File>,
        _state: &mut Self::State,
        _memory: Pin<&mut Memory<Self::Format>>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Undoes [`freeze`](FileHandler::freeze): the reboot was called off.
    fn unfreeze(_file: Option<&File>, _state: &mut Self::State) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Tells whether there is nothing left of a preserved file that was forgotten, so that it is to
    /// be unpreserved.
    fn is_gone(_state: &Self::State) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a file of what the previous kernel preserved; of nothing if that can't be read.
    ///
    /// If it fails, it is called again when userspace asks again.
    fn retrieve(record: Option<<Self::Format as Format>::Record>) -> Result<ARef<File>>;

    /// Tells whether the file can be finished.
    fn can_finish(_file: Retrieval<'_>, _record: Option<<Self::Format as Format>::Record>) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The end of the file's live update. What was handed over is freed after that.
    fn finish(file: Retrieval<'_>, record: Option<<Self::Format as Format>::Record>);
}

/// What LUO keeps for a preserved file.
#[pin_data]
struct Kept<H: FileHandler> {
    #[pin]
    memory: Memory<H::Format>,
    state: H::State,
}

/// The registration data of a [`FileHandler`], to be put into a `static`.
///
/// Wraps the kernel's `struct liveupdate_file_handler`.
///
/// # Invariants
///
/// - `inner` is only given to LUO, together with the callbacks of `H`.
/// - What LUO keeps for a preserved file is a `Pin<KBox<Kept<H>>>`, and the address that it hands
///   over is that of its memory.
/// - No file is preserved, retrieved or finished before `is_complete` is set, and shared data is
///   bound to the files only before that. So LUO counts each file in all of the data, or in none,
///   as long as the handler is registered.
pub struct Handler<H: FileHandler> {
    inner: Opaque<bindings::liveupdate_file_handler>,
    is_used: Atomic<bool>,
    is_complete: Atomic<bool>,
    _handler: PhantomData<H>,
}

// SAFETY: LUO serialises all accesses to `inner`.
unsafe impl<H: FileHandler> Sync for Handler<H> {}

impl<H: FileHandler> Handler<H> {
    const OPS: bindings::liveupdate_file_ops = bindings::liveupdate_file_ops {
        can_preserve: Some(Self::can_preserve_callback),
        preserve: Some(Self::preserve_callback),
        unpreserve: Some(Self::unpreserve_callback),
        freeze: if H::HAS_FREEZE {
            Some(Self::freeze_callback)
        } else {
            None
        },
        unfreeze: if H::HAS_UNFREEZE {
            Some(Self::unfreeze_callback)
        } else {
            None
        },
        retrieve: Some(Self::retrieve_callback),
        is_in_use: None,
        can_finish: Some(Self::can_finish_callback),
        finish: Some(Self::finish_callback),
        is_gone: if H::HAS_IS_GONE {
            Some(Self::is_gone_callback)
        } else {
            None
        },
        get_id: None,
        keeps_no_file: H::KEEPS_NO_FILE.is_some(),
        owner: this_module::<H::OwnerModule>().as_ptr(),
    };

    /// Creates the registration data.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            // INVARIANT: These are the callbacks of `H`, and nothing is registered yet.
            inner: Opaque::new(bindings::liveupdate_file_handler {
                ops: &Self::OPS,
                compatible: compatible(<H::Format as Format>::NAME),
                list: pin_init::zeroed(),
                flb_list: pin_init::zeroed(),
            }),
            is_used: Atomic::new(false),
            is_complete: Atomic::new(false),
            _handler: PhantomData,
        }
    }

    /// Registers the handler with LUO, until the result is dropped. That is possible once, unless
    /// it fails.
    ///
    /// `bind` binds the data to the handler that its files share. Files can be preserved after
    /// that.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` when live update is off, `EEXIST` when there is a handler of that name,
    /// `EBUSY` when this one was registered before, or the error of `bind`.
    pub fn register(
        &'static self,
        bind: impl FnOnce(&Binding<'_, H>) -> Result,
    ) -> Result<Registration<H>> {
        if !super::enabled() {
            return Err(EOPNOTSUPP);
        }
        if self.is_used.xchg(true, Relaxed) {
            return Err(EBUSY);
        }

        // SAFETY: `self` is static, and the callbacks are those of `H`.
        to_result(unsafe { bindings::liveupdate_register_file_handler(self.inner.get()) })
            .inspect_err(|_| self.is_used.store(false, Relaxed))?;

        // INVARIANT: The handler was just registered.
        let registration = Registration(self);

        if let Err(error) = bind(&Binding(&registration)) {
            drop(registration);
            // It was not complete, so no file was preserved, and it can be registered again.
            self.is_used.store(false, Relaxed);
            return Err(error);
        }
        // INVARIANT: There is no `Binding` any more, and there won't be another.
        self.is_complete.store(true, Release);
        Ok(registration)
    }

    /// Calls `f` with the record of each file that the previous kernel preserved for this handler,
    /// and that isn't finished, whether it was asked for or not; with `None` if it can't be read.
    ///
    /// Context: May sleep. Not to be called by the handler's own functions. LUO's locks are held
    /// while `f` is called.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there may be more files than those.
    pub fn for_each_incoming<F>(&self, mut f: F) -> Result
    where
        F: FnMut(Option<<H::Format as Format>::Record>),
    {
        /// # Safety
        ///
        /// `arg` must point to a `G` that nobody else uses, and `data` be what was handed over
        /// under the name of `F`.
        unsafe extern "C" fn callback<F: Format, G: FnMut(Option<F::Record>)>(
            data: u64,
            arg: *mut c_void,
        ) {
            // SAFETY: The caller guarantees that this is what was handed over. It is copied, and
            // left to whoever is registered under this name.
            let handed_over = unsafe { HandedOver::<F>::new(data) };

            // SAFETY: The caller guarantees that it is a `G` of ours.
            unsafe { (*arg.cast::<G>())(handed_over.record().ok()) };
        }

        // SAFETY: The name is nul-terminated. The callback gets `f`, which nobody else uses until
        // the function returns.
        to_result(unsafe {
            bindings::liveupdate_walk_incoming(
                <H::Format as Format>::NAME.as_char_ptr(),
                Some(callback::<H::Format, F>),
                (&raw mut f).cast(),
            )
        })
    }

    /// # Safety
    ///
    /// `file` must be null, or that of arguments that LUO passes to a callback.
    unsafe fn file<'a>(file: *mut bindings::file) -> Option<&'a File> {
        // SAFETY: LUO has a reference to the file during the callback, and its position is not in
        // use by who calls LUO.
        (!file.is_null()).then(|| unsafe { File::from_raw_file(file) })
    }

    /// # Safety
    ///
    /// `handler` must be that of a `Self`, and `file` open, and not in the hands of somebody who
    /// uses its position: as when LUO calls this.
    unsafe extern "C" fn can_preserve_callback(
        handler: *mut bindings::liveupdate_file_handler,
        file: *mut bindings::file,
    ) -> bool {
        // SAFETY: The caller guarantees that it is the handler of a `Self`, and that LUO holds a
        // reference to the file that it got with `fget()` in a system call that doesn't use the
        // file's position.
        unsafe { Self::is_complete(handler) && H::can_preserve(File::from_raw_file(file)) }
    }

    /// # Safety
    ///
    /// `handler` must be that of a `Self`.
    unsafe fn is_complete(handler: *mut bindings::liveupdate_file_handler) -> bool {
        // SAFETY: The caller guarantees that it is a field of a `Self`, which is static.
        let this = unsafe { &*crate::container_of!(Opaque::cast_from(handler), Self, inner) };

        this.is_complete.load(Acquire)
    }

    /// # Safety
    ///
    /// `args` must be valid, with what `preserve_callback()` made, which nobody else uses for `'a`.
    unsafe fn kept<'a>(args: *mut bindings::liveupdate_file_op_args) -> Pin<&'a mut Kept<H>> {
        // SAFETY: The caller guarantees that it is what `preserve_callback()` made, a
        // `Pin<KBox<Kept<H>>>`, and ours for `'a`.
        unsafe { Pin::<KBox<Kept<H>>>::borrow_mut((*args).private_data) }
    }

    /// # Safety
    ///
    /// `args` must be valid, with a file as for `can_preserve_callback()`, and what is put into it
    /// be kept for the other callbacks.
    unsafe extern "C" fn preserve_callback(args: *mut bindings::liveupdate_file_op_args) -> c_int {
        from_result(|| {
            // SAFETY: The caller guarantees that the file is open, and its position not in use.
            let (record, state) = H::preserve(unsafe { File::from_raw_file((*args).file) })?;
            let kept = KBox::pin_init(
                try_pin_init!(Kept::<H> {
                    memory <- Memory::<H::Format>::new(record),
                    state,
                }? Error),
                GFP_KERNEL,
            )?;
            let address = kept.memory.address();

            // INVARIANT: LUO keeps a `Pin<KBox<Kept<H>>>`, with memory at that address.
            // SAFETY: The arguments are valid, as the caller guarantees.
            unsafe {
                (*args).private_data = kept.into_foreign();
                (*args).serialized_data = address;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be valid, with what `preserve_callback()` made, for the last time.
    unsafe extern "C" fn unpreserve_callback(args: *mut bindings::liveupdate_file_op_args) {
        // SAFETY: The caller guarantees that it is what `preserve_callback()` made, and that nobody
        // uses it after this.
        drop(unsafe { Pin::<KBox<Kept<H>>>::from_foreign((*args).private_data) });
    }

    /// # Safety
    ///
    /// `args` must be valid, with what `preserve_callback()` made, which nobody else uses
    /// meanwhile.
    unsafe extern "C" fn freeze_callback(args: *mut bindings::liveupdate_file_op_args) -> c_int {
        // SAFETY: The caller guarantees that the arguments are valid, and what they have is there.
        let (file, kept) = unsafe { (Self::file((*args).file), Self::kept(args).project()) };

        from_result(|| {
            H::freeze(file, kept.state, kept.memory)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be valid, with what `preserve_callback()` made, which nobody else uses
    /// meanwhile.
    unsafe extern "C" fn unfreeze_callback(args: *mut bindings::liveupdate_file_op_args) {
        // SAFETY: The caller guarantees that the arguments are valid, and what they have is there.
        let (file, kept) = unsafe { (Self::file((*args).file), Self::kept(args).project()) };

        H::unfreeze(file, kept.state);
    }

    /// # Safety
    ///
    /// `args` must be valid, with what `preserve_callback()` made, which nobody else uses
    /// meanwhile.
    unsafe extern "C" fn is_gone_callback(args: *mut bindings::liveupdate_file_op_args) -> bool {
        // SAFETY: The caller guarantees that the arguments are valid, and what they have is there.
        H::is_gone(unsafe { Self::kept(args) }.project().state)
    }

    /// # Safety
    ///
    /// `args` must be valid, with what was handed over under the name of `H::Format`.
    unsafe fn handed_over(args: *const bindings::liveupdate_file_op_args) -> HandedOver<H::Format> {
        // SAFETY: The caller guarantees what it is. It is meant for the handler that is registered
        // under this name.
        unsafe { HandedOver::new((*args).serialized_data) }
    }

    /// # Safety
    ///
    /// `args` must be valid, with what was handed over under the name of `H::Format`.
    unsafe extern "C" fn retrieve_callback(args: *mut bindings::liveupdate_file_op_args) -> c_int {
        from_result(|| {
            // SAFETY: The caller guarantees that the arguments are valid, and what they have is
            // there.
            let (is_complete, handed_over) =
                unsafe { (Self::is_complete((*args).handler), Self::handed_over(args)) };

            if !is_complete {
                return Err(EAGAIN);
            }

            let file = H::retrieve(handed_over.record().ok())?;

            // SAFETY: The arguments are valid, as the caller guarantees, who gets our reference to
            // the file.
            unsafe { (*args).file = ARef::into_raw(file).as_ptr().cast() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `args` must be valid for `'a`, with a file to which there is a reference, or none.
    unsafe fn retrieval<'a>(args: *const bindings::liveupdate_file_op_args) -> Retrieval<'a> {
        // SAFETY: The caller guarantees that the arguments are valid.
        let (status, file) = unsafe { ((*args).retrieve_status, (*args).file) };

        match status {
            ..0 => Retrieval::Failed(Error::from_errno(status)),
            0 => Retrieval::NotAttempted,
            // SAFETY: It is the file of these arguments.
            1.. => unsafe { Self::file(file) }.map_or(Retrieval::Closed, Retrieval::Done),
        }
    }

    /// # Safety
    ///
    /// `args` must be valid, with what was handed over under the name of `H::Format`, and the file
    /// that was made of it, if there is one.
    unsafe extern "C" fn can_finish_callback(args: *mut bindings::liveupdate_file_op_args) -> bool {
        // SAFETY: The caller guarantees that the arguments are valid, and what they have is there.
        let (is_complete, file, handed_over) = unsafe {
            (
                Self::is_complete((*args).handler),
                Self::retrieval(args),
                Self::handed_over(args),
            )
        };

        is_complete && (!H::HAS_CAN_FINISH || H::can_finish(file, handed_over.record().ok()))
    }

    /// # Safety
    ///
    /// `args` must be valid, with what was handed over under the name of `H::Format`, for the last
    /// time, and the file that was made of it, if there is one.
    unsafe extern "C" fn finish_callback(args: *mut bindings::liveupdate_file_op_args) {
        // SAFETY: The caller guarantees that the arguments are valid, and what they have is there.
        let (file, handed_over) = unsafe { (Self::retrieval(args), Self::handed_over(args)) };

        H::finish(file, handed_over.record().ok());
        if let Err(why) = handed_over.free() {
            let name = <H::Format as Format>::NAME;

            pr_err!("liveupdate: what was handed over of a file of {name} can't be freed: {why}\n");
        }
    }
}

/// A registered [`FileHandler`]. Dropping it ends the registration.
///
/// # Invariants
///
/// The handler is registered with LUO.
pub struct Registration<H: FileHandler>(&'static Handler<H>);

/// A [`FileHandler`] that is being registered, to which data is bound that its files share.
pub struct Binding<'a, H: FileHandler>(&'a Registration<H>);

impl<H: FileHandler> Binding<'_, H> {
    /// Binds shared data to the files of this handler, as long as it is registered.
    ///
    /// Context: May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` when the data is bound to this handler already, or there is other data of its
    /// name, `ENOSPC` when there is no room for more data, `ENOMEM`.
    pub fn add<T: FileLifecycleBound>(&self, flb: &'static Flb<T>) -> Result {
        // SAFETY: The handler is registered, and both are static.
        to_result(unsafe { bindings::liveupdate_register_flb(self.as_raw(), flb.as_raw()) })
    }

    /// The C structure, for functions that bind shared data of a subsystem.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::liveupdate_file_handler {
        self.0 .0.inner.get()
    }
}

impl<H: FileHandler> Drop for Registration<H> {
    fn drop(&mut self) {
        // Unregisters shared data, too.
        //
        // SAFETY: By the type invariant the handler is registered. LUO may go on using it for
        // files that are preserved: it is static, and LUO keeps the module.
        unsafe { bindings::liveupdate_unregister_file_handler(self.0.inner.get()) };
    }
}

#[macros::kunit_tests(rust_kernel_liveupdate)]
mod tests {
    use super::*;
    use crate::error::from_err_ptr;
    use core::ptr::{
        null_mut,
        NonNull, //
    };

    struct AnyFile;

    // SAFETY: Nothing else has this name.
    unsafe impl Format for AnyFile {
        const NAME: &'static CStr = c"rust-kunit-any-file-v1";
        type Record = u8;
        type Entry = ();
    }

    #[vtable]
    impl FileHandler for AnyFile {
        type Format = AnyFile;
        type State = ();

        fn can_preserve(_file: &File) -> bool {
            true
        }

        fn preserve(_file: &File) -> Result<(u8, ())> {
            Err(ENODEV)
        }

        fn retrieve(_record: Option<u8>) -> Result<ARef<File>> {
            Err(ENODEV)
        }

        fn finish(_file: Retrieval<'_>, _record: Option<u8>) {}
    }

    const NO_OPERATIONS: &bindings::file_operations = &pin_init::zeroed();

    fn any_file() -> Result<ARef<File>> {
        // SAFETY: The name is nul-terminated and copied, a file need not have operations, and these
        // are there for ever.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_getfile(c"kunit".as_char_ptr(), NO_OPERATIONS, null_mut(), 0)
        })?;

        // SAFETY: We own the reference to the file, and nobody else knows it.
        Ok(unsafe { ARef::from_raw(NonNull::new(file).ok_or(ENOMEM)?.cast()) })
    }

    #[test]
    fn no_file_is_preserved_before_all_that_it_shares_is_bound() -> Result {
        static HANDLER: Handler<AnyFile> = Handler::new();

        if !crate::liveupdate::enabled() {
            return Ok(());
        }

        let file = any_file()?;
        let asked = || {
            // SAFETY: This is the handler, and a file that is open as long as we have a reference
            // to it, and that nobody else knows.
            unsafe { Handler::<AnyFile>::can_preserve_callback(HANDLER.inner.get(), file.as_ptr()) }
        };
        let mut asked_before = true;
        let registration = match HANDLER.register(|_| {
            asked_before = asked();
            Ok(())
        }) {
            // The suite was run again. A handler can be registered once.
            Err(EBUSY) => return Ok(()),
            result => result?,
        };

        assert!(!asked_before);
        assert!(asked());
        drop(registration);
        Ok(())
    }
}
