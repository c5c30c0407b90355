//! The face that SQLite sees. Nothing is decided here: pointers become slices, results become codes.
//!
//! SQLite's side of the contract (<https://www.sqlite.org/c3ref/io_methods.html>) is what every block below leans on:
//! methods of a file are called between its opening and its closing, by one thread at a time, with buffers of the length that
//! is said.

use std::{
    ffi::CStr,
    mem::size_of,
    os::raw::{c_char, c_int, c_void},
    slice,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering, fence},
    },
};

use rusqlite::ffi;

use crate::{
    Disk,
    handle::{Done, Handle},
};

/// 24 November 2026, noon, in ms of the Julian day.
const NOW: i64 = 212_662_281_600_000;
/// As a flash page, and as SQLite assumes where it cannot know.
const SECTOR: c_int = 4096;
const LONGEST_PATH: usize = 512;

/// What SQLite allocates for an open file.
#[repr(C)]
struct Open {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<Open>() as c_int,
            mxPathname: LONGEST_PATH as c_int,
            pNext: std::ptr::null_mut(),
            zName: c"fault".as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time_int64),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SQLite counts what it has allocated, under a lock that all threads share, and nobody asks. Where it is in use already
        // it refuses, and goes on counting.
        // SAFETY: this option takes an int.
        unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int) };
        // SAFETY: it is leaked, so it outlives every connection; SQLite initialises itself in this call.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 1) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite takes any VFS");
    });
}

fn code(done: Done) -> c_int {
    done.err().unwrap_or(ffi::SQLITE_OK)
}

/// # Safety
/// `name` is null or ends with a zero, and lives as long as the result is used.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as this function demands.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

/// # Safety
/// `file` was opened by [`open`], was not closed, and nobody else uses it now.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: as this function demands; `open` has put a leaked box there.
    unsafe { &mut *(*file.cast::<Open>()).handle }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes for the file. Without methods it will not be closed.
    unsafe { (*file).pMethods = std::ptr::null() };
    // SAFETY: a name is null or ends with a zero.
    let path = unsafe { text(name) };
    if path.is_none() && !name.is_null() {
        return ffi::SQLITE_CANTOPEN;
    }
    match Handle::open(path, flags) {
        Ok(handle) => {
            let open = Open {
                base: ffi::sqlite3_file { pMethods: &raw const METHODS },
                handle: Box::into_raw(Box::new(handle)),
            };
            // SAFETY: as above; the place is aligned for pointers, and an `Open` is nothing else.
            unsafe { file.cast::<Open>().write(open) };
            if !out_flags.is_null() {
                // SAFETY: not null, so there is room for one.
                unsafe { *out_flags = flags };
            }
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, and uses it no more; the box is from `open`.
    let handle = unsafe { Box::from_raw((*file.cast::<Open>()).handle) };
    handle.close();
    // SAFETY: SQLite's allocation is still there.
    unsafe { (*file).pMethods = std::ptr::null() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: an open file, and a buffer of `len` bytes that is SQLite's own.
    let (handle, into) =
        unsafe { (handle(file), slice::from_raw_parts_mut(into.cast::<u8>(), len as usize)) };
    match handle.read(at as usize, into) {
        Ok(read) if read < into.len() => {
            into[read..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Ok(_) => ffi::SQLITE_OK,
        Err(code) => code,
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: an open file, and a buffer of `len` bytes.
    let (handle, bytes) = unsafe { (handle(file), slice::from_raw_parts(bytes.cast::<u8>(), len as usize)) };
    code(handle.write(at as usize, bytes))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, to: i64) -> c_int {
    // SAFETY: an open file.
    code(unsafe { handle(file) }.truncate(to as usize))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    code(unsafe { handle(file) }.sync())
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: an open file.
    match unsafe { handle(file) }.size() {
        Ok(bytes) => {
            // SAFETY: room for the answer.
            unsafe { *size = bytes as i64 };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    code(unsafe { handle(file) }.lock(level))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    code(unsafe { handle(file) }.unlock(level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: an open file.
    match unsafe { handle(file) }.is_reserved() {
        Ok(is) => {
            // SAFETY: room for the answer.
            unsafe { *reserved = is.into() };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    // As on Unix: a write that is torn spares what stands beside it.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    index: c_int,
    size: c_int,
    make: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file.
    let mapped = unsafe { handle(file) }.map(index as usize, size as usize, make != 0);
    let (start, code) = match mapped {
        Ok(Some(start)) => (start.as_ptr(), ffi::SQLITE_OK),
        Ok(None) => (std::ptr::null_mut(), ffi::SQLITE_OK),
        Err(code) => (std::ptr::null_mut(), code),
    };
    // SAFETY: room for the answer.
    unsafe { *out = start.cast() };
    code
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let slots = (((1u32 << count) - 1) << first) as u8;
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    code(if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        handle.release_slots(slots)
    } else {
        handle.take_slots(slots, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0)
    })
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { handle(file) }.unmap_shared_memory();
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: a name ends with a zero.
    match unsafe { text(name) }.and_then(Disk::find) {
        Some((disk, file)) => code(disk.state().delete(file, sync_directory != 0)),
        None => ffi::SQLITE_IOERR_DELETE_NOENT,
    }
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: a name ends with a zero.
    let there = match unsafe { text(name) }.and_then(Disk::find) {
        Some((disk, file)) => {
            let state = disk.state();
            if let Err(code) = state.usable(ffi::SQLITE_IOERR_ACCESS) {
                return code;
            }
            // As on Unix: an empty file is none, since a journal that is empty says nothing.
            state
                .files
                .get(file)
                .is_some_and(|file| flags != ffi::SQLITE_ACCESS_EXISTS || !file.bytes().is_empty())
        }
        None => false,
    };
    // SAFETY: room for the answer.
    unsafe { *out = there.into() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: a name ends with a zero.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if bytes.len() > len as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has room for `len` bytes, and they are not those of the name.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: `out` has room for `len` bytes.
    let out = unsafe { slice::from_raw_parts_mut(out.cast::<u8>(), len as usize) };
    for (index, chunk) in out.chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&mixed((call << 16) + index as u64).to_le_bytes()[..chunk.len()]);
    }
    len
}

/// SplitMix64's output function: neighbours have nothing in common.
fn mixed(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // Other threads may go on, and that is all the time there is.
    std::thread::yield_now();
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    // SAFETY: room for the answer.
    unsafe { *days = NOW as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_int64(_: *mut ffi::sqlite3_vfs, now: *mut i64) -> c_int {
    // SAFETY: room for the answer.
    unsafe { *now = NOW };
    ffi::SQLITE_OK
}
