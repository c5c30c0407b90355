//! `cargo xtask phones`: whether the library compiles for the phones' processors and systems, as far as that can be said
//! without Android's NDK and Apple's Xcode.
//!
//! The compiler is Debian's `rustc-web`, since it comes with the source of the standard library, which is checked along.
//! Nothing is linked, and no C is compiled: in the place of the C compiler stands a script that makes empty files. So all of our
//! Rust and that of what we depend on is checked, and nothing of SQLCipher, OpenSSL and ring's C.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{Result, cargo, host};

const COMPILER: [host::Need; 2] =
    [("/usr/bin/rustc", "rustc-web"), ("/usr/lib/rustlib/src/rust/library/Cargo.lock", "rust-web-src")];

/// No compiler: it says that it is like clang, knows no options of Microsoft's, and makes every object and library that it is
/// asked for, empty.
const NO_COMPILER: &str = r#"#!/bin/sh
for word; do
    case "$word" in
        -E) echo __clang__ ;;
        -\?) exit 1 ;;
        *.o | *.a) : > "$word" ;;
    esac
done
"#;

struct Phone {
    target: &'static str,
    /// Beside the common ones.
    arguments: &'static [&'static str],
}

const PHONES: [Phone; 2] = [
    Phone {
        target: "aarch64-linux-android",
        // Or OpenSSL would be built, which only the NDK can.
        arguments: &[
            "--config",
            "target.aarch64-linux-android.openssl.rustc-link-lib=['crypto']",
            "--config",
            "target.aarch64-linux-android.openssl.include='none'",
        ],
    },
    // CommonCrypto in the place of OpenSSL.
    Phone { target: "aarch64-apple-ios", arguments: &["--no-default-features"] },
];

pub(crate) fn run() -> Result<()> {
    host::need(&COMPILER, "500 MB, half a minute")?;
    let dir = cargo::target().join("phones");
    fs::create_dir_all(&dir)?;
    let no_compiler = script(&dir)?;
    for Phone { target, arguments } in PHONES {
        let mut check = cargo::command(&["check", "-p", "whimbrel-ffi", "--lib", "--target", target]);
        check.args(["-Zbuild-std=std,panic_abort,panic_unwind", "--target-dir"]).arg(&dir).args(arguments);
        check.env("RUSTC", COMPILER[0].0).env("RUSTC_BOOTSTRAP", "1");
        // Rather than to ask Xcode.
        check.env("SDKROOT", &dir);
        let name = target.replace('-', "_");
        check.env(format!("CC_{name}"), &no_compiler).env(format!("AR_{name}"), &no_compiler);
        cargo::run(&mut check)?;
        println!("{target}: all of the Rust compiles; its C was not compiled, and nothing was linked");
    }
    Ok(())
}

fn script(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("no-compiler");
    fs::write(&path, NO_COMPILER)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
