//! `cargo xtask bindings`: the libraries for Kotlin and Swift, built and tested over a real Prosody 13.
//!
//! The library is built once for both, with the functions that panic on purpose; what is generated from it goes where each
//! language's own tools look for it, and is never committed. Kotlin runs on the host, Swift in the Debian tree that has the
//! compiler: there it sees one directory, a copy under `target` that only changes where the sources did, so that Swift's own
//! build stays incremental.

use std::{
    collections::BTreeSet,
    env::{
        self,
        consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX},
    },
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use clap::{Args, ValueEnum};
use interop::{Kind, Options, Release, Root, Server, leashed};

use crate::{
    Result, cargo, host,
    test::Outcome::{self, Passed, Skipped},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Both if not said
    language: Option<Language>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Kotlin,
    Swift,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.language != Some(Language::Swift) {
        host::need(&host::BUILD, "150 MB, half a minute")?;
        told("Kotlin", kotlin)?;
    }
    if arguments.language != Some(Language::Kotlin) {
        host::need(&host::BUILD, "150 MB, half a minute")?;
        let root = Root::ensure(Release::Trixie, &host::say)?;
        told("Swift", || swift(&root))?;
    }
    Ok(())
}

fn told(name: &str, test: impl FnOnce() -> Result<Outcome>) -> Result<()> {
    let started = Instant::now();
    match test()? {
        Skipped(why) => Err(why.into()),
        Passed => {
            println!("{name}: {:.1} minutes", started.elapsed().as_secs_f64() / 60.0);
            Ok(())
        }
    }
}

/// Generates the Kotlin, and runs its JUnit tests.
pub(crate) fn kotlin() -> Result<Outcome> {
    host::need(&host::KOTLIN, "300 MB, a minute")?;
    let package = cargo::workspace().join("bindings/kotlin");
    let library = library()?;
    generate("kotlin", &library, &package.join("generated"))?;

    let server = Server::start(Kind::Prosody13, Options::default())?;
    let mut maven = leashed("mvn");
    // Without -q, which would hide how many tests ran.
    // The panics are on purpose.
    maven.env("RUST_BACKTRACE", "0");
    maven.current_dir(&package).args(["-B", "-ntp", "test"]);
    maven.arg(property("library", parent(&library)));
    maven.args([property("host", "127.0.0.1"), property("port", server.port().to_string())]);
    maven.arg(property("ca", server.ca()));
    cargo::run(&mut maven)?;
    Ok(Passed)
}

fn property(name: &str, value: impl Into<OsString>) -> OsString {
    let mut property = OsString::from(format!("-Dwhimbrel.{name}="));
    property.push(value.into());
    property
}

/// Generates the Swift, and runs its tests in the Debian tree that has the compiler.
pub(crate) fn swift(root: &Root) -> Result<Outcome> {
    if *root == Root::Host {
        return Ok(Skipped("Swift is tested in a Debian tree, and this is the host".into()));
    }
    let package = cargo::workspace().join("bindings/swift");
    let library = library()?;
    let (c, swift) = (package.join("Sources/CWhimbrel"), package.join("Sources/WhimbrelFFI"));
    generate("swift", &library, &swift)?;
    fs::create_dir_all(&c)?;
    // SwiftPM wants the header in a target of its own, beside a module map of exactly this name.
    fs::rename(swift.join("CWhimbrel.h"), c.join("CWhimbrel.h"))?;
    fs::rename(swift.join("CWhimbrel.modulemap"), c.join("module.modulemap"))?;

    let stage = target().join("bindings/swift");
    for part in ["Sources", "Tests"] {
        mirror(&package.join(part), &stage.join(part))?;
    }
    copy_if_different(&package.join("Package.swift"), &stage.join("Package.swift"))?;
    let beside = stage.join("lib");
    fs::create_dir_all(&beside)?;
    fs::copy(&library, beside.join(library.file_name().unwrap_or_default()))?;

    let server = Server::start(Kind::Prosody13, Options::default())?;
    let ca = stage.join("ca.crt");
    fs::copy(server.ca(), &ca)?;
    let variables = [
        ("LD_LIBRARY_PATH", beside.display().to_string()),
        ("WHIMBREL_HOST", "127.0.0.1".to_owned()),
        ("WHIMBREL_PORT", server.port().to_string()),
        ("WHIMBREL_CA", ca.display().to_string()),
    ];
    let (at, search) = (stage.display().to_string(), format!("-L{}", beside.display()));
    // There are no XCTests, and "Executed 0 tests" as the last line would say that nothing ran.
    let test = ["swift", "test", "--disable-xctest", "--package-path", &at, "-Xlinker", &search];
    cargo::run(&mut root.command(&stage, &variables, &test)?)?;
    Ok(Passed)
}

/// Builds the library, and gives back where it is.
fn library() -> Result<PathBuf> {
    cargo::run(&mut cargo::command(&["build", "-p", "whimbrel-ffi", "--features", "test-support"]))?;
    Ok(target().join(format!("debug/{DLL_PREFIX}whimbrel_ffi{DLL_SUFFIX}")))
}

fn generate(language: &str, library: &Path, out: &Path) -> Result<()> {
    // What is no longer generated must not be compiled.
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    // `--workspace`, or its dependencies would have other features than when everything is built, and the generator, which
    // takes a minute to compile, would be compiled twice.
    cargo::run(&mut cargo::command(&["build", "-q", "--workspace", "--bin", "bindgen"]))?;
    let mut bindgen = Command::new(target().join(format!("debug/bindgen{EXE_SUFFIX}")));
    cargo::run(bindgen.arg(language).arg(library).arg(cargo::workspace().join("bindings/ffi")).arg(out))
}

fn target() -> PathBuf {
    cargo::workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

fn parent(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

/// Makes `to` hold what `from` holds, touching only what differs.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        names.insert(entry.file_name());
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            mirror(&entry.path(), &copy)?;
        } else {
            copy_if_different(&entry.path(), &copy)?;
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            let old = entry.path();
            if entry.file_type()?.is_dir() { fs::remove_dir_all(old)? } else { fs::remove_file(old)? }
        }
    }
    Ok(())
}

fn copy_if_different(from: &Path, to: &Path) -> Result<()> {
    let text = fs::read(from)?;
    if fs::read(to).ok().as_ref() != Some(&text) {
        fs::write(to, text)?;
    }
    Ok(())
}
