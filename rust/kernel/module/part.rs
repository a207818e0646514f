// SPDX-License-Identifier: GPL-2.0

//! Rust code in modules that are written in C.

/// Makes a crate a part of a module whose other parts, and what initialises it, are in C.
///
/// In place of [`module!`](macros::module): to be used once, at the top of the crate. The argument
/// is the name of the module, which the log says.
///
/// # Examples
///
/// ```
/// # mod part {
/// kernel::part_of_module!("a-driver");
/// # pub(super) fn name() -> &'static kernel::str::CStr {
/// #     <LocalModule as kernel::ModuleMetadata>::NAME
/// # }
/// # }
/// # assert_eq!(part::name(), c"a-driver");
/// ```
#[macro_export]
macro_rules! part_of_module {
    ($name:literal) => {
        #[allow(dead_code)]
        const __LOG_PREFIX: &[u8] = concat!($name, "\0").as_bytes();

        /// The module that this is a part of.
        struct LocalModule;

        impl $crate::ModuleMetadata for LocalModule {
            const NAME: &'static $crate::str::CStr =
                match $crate::str::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("the name must be a C string"),
                };

            const THIS_MODULE: $crate::ThisModule = {
                #[cfg(MODULE)]
                let module = (&raw const $crate::bindings::__this_module).cast_mut();
                // What is built into the kernel has no module.
                #[cfg(not(MODULE))]
                let module = ::core::ptr::null_mut();

                // SAFETY: It is `THIS_MODULE` of the module that the crate is linked into.
                unsafe { $crate::ThisModule::from_ptr(module) }
            };
        }
    };
}
