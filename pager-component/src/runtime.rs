//! What `std` would bring along: the allocator, the end of a panic, and the
//! door through which the host hands in lists.
#![expect(unsafe_code, reason = "the canonical ABI asks for a raw export")]

use alloc::alloc::{alloc, dealloc, realloc};
use core::alloc::Layout;
use core::cell::RefCell;
use core::panic::PanicInfo;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

// The compiler's own calls, as `memcmp`. Of the library only what is called
// is linked, and nothing of that imports anything.
#[link(name = "c")]
unsafe extern "C" {}

/// A value of the instance's own.
pub(crate) struct Local<T>(RefCell<T>);

// SAFETY: an instance has one thread.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}

/// Ends the instance. There is nobody to tell why; the host names the
/// operation.
pub(crate) fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    trap()
}

/// The allocator as the canonical ABI calls it. On this target it comes with
/// the C library, which is not linked.
///
/// # Safety
/// As of the canonical ABI's `realloc`: `old_ptr` and `old_len` are of an
/// earlier call with the same `align`, or zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(
    old_ptr: *mut u8,
    old_len: usize,
    align: usize,
    new_len: usize,
) -> *mut u8 {
    let (Ok(old), Ok(new)) = (
        Layout::from_size_align(old_len, align),
        Layout::from_size_align(new_len, align),
    ) else {
        trap()
    };
    // SAFETY: the block is of an earlier call with the layout `old` (above),
    // and neither size is zero where it must not be.
    let ptr = unsafe {
        match (old_len, new_len) {
            (0, 0) => new.dangling_ptr().as_ptr(),
            (0, _) => alloc(new),
            (_, 0) => {
                dealloc(old_ptr, old);
                new.dangling_ptr().as_ptr()
            }
            (_, _) => realloc(old_ptr, old, new_len),
        }
    };
    if ptr.is_null() {
        trap()
    }
    ptr
}
