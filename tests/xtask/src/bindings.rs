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
        consts::{DLL_PREFIX, DLL_SUFFIX},
    },
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use clap::{Args, ValueEnum};
use interop::{Release, Root, leashed};

use crate::{
    Result, cargo, host,
    stage::Stage,
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

/// Maven gives up a download whose connection fails, and a repository that is busy, at once.
const DOWNLOADS: [&str; 3] = [
    "-Dmaven.wagon.http.retryHandler.count=5",
    "-Dmaven.wagon.http.retryHandler.nonRetryableClasses=java.io.UnsupportedEncodingException",
    "-Dmaven.wagon.http.serviceUnavailableRetryStrategy.class=standard",
];

/// Generates the Kotlin, and runs its JUnit tests.
pub(crate) fn kotlin() -> Result<Outcome> {
    host::need(&host::KOTLIN, "300 MB, a minute")?;
    let package = kotlin_package();
    same_scenarios(&package.join("src/test/kotlin/im/whimbrel/scenarios"), "kt", "fun `", "`")?;
    let library = library("debug", &TESTED)?;
    generate("kotlin", &library, &package.join("generated"))?;

    let stage = Stage::open()?;
    let mut maven = leashed("mvn");
    // Without -q, which would hide how many tests ran.
    // The panics are on purpose.
    maven.env("RUST_BACKTRACE", "0");
    maven.current_dir(&package).args(["-B", "-ntp", "test"]).args(DOWNLOADS);
    maven.arg(property("library", parent(&library)));
    maven.args(stage.ports().map(|(name, port)| property(name, port.to_string())));
    maven.arg(property("ca", stage.server().ca()));
    cargo::test(&mut maven)?;
    Ok(Passed)
}

fn kotlin_package() -> PathBuf {
    cargo::workspace().join("bindings/kotlin")
}

/// Compiles what benchmarks start in Kotlin, over this library, and gives back the class path.
pub(crate) fn kotlin_programs(library: &Path) -> Result<OsString> {
    host::need(&host::KOTLIN, "300 MB, a minute")?;
    let package = kotlin_package();
    generate("kotlin", library, &package.join("generated"))?;
    let mut maven = leashed("mvn");
    maven.current_dir(&package).args(["-B", "-ntp", "-q", "test-compile"]).args(DOWNLOADS);
    // Each module's own, below its directory. Standard output is for figures.
    maven.args(["dependency:build-classpath", "-Dmdep.outputFile=target/classpath"]).stdout(io::stderr());
    cargo::run(&mut maven)?;
    let target = package.join("jvm/target");
    let needed = fs::read_to_string(target.join("classpath"))?;
    let classes =
        [target.join("test-classes"), target.join("classes")].into_iter().chain(env::split_paths(&needed));
    Ok(env::join_paths(classes)?)
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
    let tests = cargo::workspace().join("bindings/swift/Tests/WhimbrelTests/Scenarios");
    same_scenarios(&tests, "swift", "@Test(\"", "\"")?;
    let dir = swift_package(&library("debug", &TESTED)?)?;

    let stage = Stage::open()?;
    let ca = dir.join("ca.crt");
    fs::copy(stage.server().ca(), &ca)?;
    let mut variables = vec![
        ("LD_LIBRARY_PATH", dir.join("lib").display().to_string()),
        ("RUST_BACKTRACE", "0".to_owned()),
        ("WHIMBREL_CA", ca.display().to_string()),
    ];
    let ports = stage.ports().map(|(name, port)| (format!("WHIMBREL_{}", name.to_uppercase()), port));
    variables.extend(ports.iter().map(|(name, port)| (name.as_str(), port.to_string())));
    // There are no XCTests, and "Executed 0 tests" as the last line would say that nothing ran.
    let mut test = root.command(&dir, &variables, &["swift", "test", "--disable-xctest"])?;
    cargo::test(test.args(linked(&dir, "")))?;
    // Nobody runs them here, and they must not rot.
    swift_benches(root, &dir, "debug")?;
    Ok(Passed)
}

/// Compiles what benchmarks start in Swift, over this library, and gives back the directory that it is all in.
pub(crate) fn swift_programs(library: &Path) -> Result<PathBuf> {
    let root = Root::ensure(Release::Trixie, &host::say)?;
    let dir = swift_package(library)?;
    swift_benches(&root, &dir, "release")?;
    Ok(dir)
}

fn swift_benches(root: &Root, dir: &Path, configuration: &str) -> Result<()> {
    let mut build = root.command(dir, &[], &["swift", "build", "-c", configuration])?;
    // What is mirrored holds nothing else, and so not what is built.
    build.arg("--scratch-path").arg(dir.join("bench"));
    cargo::run(build.args(linked(dir, "Tests/Bench")).stdout(io::stderr()))
}

/// For Swift's own build: where a package is, and where the library.
fn linked(dir: &Path, package: &str) -> [OsString; 4] {
    let search = format!("-L{}", dir.join("lib").display());
    ["--package-path".into(), dir.join(package).into(), "-Xlinker".into(), search.into()]
}

/// Generates the Swift, and puts the package where the Debian tree sees it, with the library in `lib`.
fn swift_package(library: &Path) -> Result<PathBuf> {
    let package = cargo::workspace().join("bindings/swift");
    let (c, swift) = (package.join("Sources/CWhimbrel"), package.join("Sources/WhimbrelFFI"));
    generate("swift", library, &swift)?;
    fs::create_dir_all(&c)?;
    // SwiftPM wants the header in a target of its own, beside a module map of exactly this name.
    fs::rename(swift.join("CWhimbrel.h"), c.join("CWhimbrel.h"))?;
    fs::rename(swift.join("CWhimbrel.modulemap"), c.join("module.modulemap"))?;

    let dir = cargo::target().join("bindings/swift");
    fs::create_dir_all(&dir)?;
    // What the compiler has built knows where it lay.
    let (stamp, here) = (dir.join("built-in"), dir.display().to_string());
    if fs::read_to_string(&stamp).is_ok_and(|there| there != here) {
        for built in [".build", "bench"] {
            let built = dir.join(built);
            if built.exists() {
                fs::remove_dir_all(built)?;
            }
        }
    }
    fs::write(&stamp, &here)?;
    for part in ["Sources", "Tests"] {
        mirror(&package.join(part), &dir.join(part))?;
    }
    for file in ["Package.swift", "README.md", "api.txt"] {
        copy_if_different(&package.join(file), &dir.join(file))?;
    }
    let beside = dir.join("lib");
    fs::create_dir_all(&beside)?;
    fs::copy(library, beside.join(library.file_name().unwrap_or_default()))?;
    Ok(dir)
}

/// Both suites play the same scenarios, each by its name: in Kotlin a function, in Swift what `@Test` calls it.
fn same_scenarios(tests: &Path, ending: &str, before: &str, behind: &str) -> Result<()> {
    let listed = fs::read_to_string(cargo::workspace().join("bindings/scenarios.txt"))?;
    let listed: BTreeSet<String> =
        listed.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect();
    let mut played = BTreeSet::new();
    for entry in fs::read_dir(tests)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == ending) {
            let text = fs::read_to_string(&path)?;
            let names = text.split(before).skip(1).filter_map(|rest| rest.split_once(behind));
            played.extend(names.map(|(name, _)| name.to_owned()));
            if text.contains("@Disabled") || text.contains(".disabled(") {
                return Err(format!("{} has a test that is switched off", path.display()).into());
            }
        }
    }
    let differences: Vec<String> = listed
        .difference(&played)
        .map(|name| format!("\"{name}\" is not played"))
        .chain(played.difference(&listed).map(|name| format!("\"{name}\" is not listed")))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("{} and bindings/scenarios.txt differ: {}", tests.display(), differences.join(", ")).into())
}

/// For cargo: with what tests and benchmarks call besides.
pub(crate) const TESTED: [&str; 2] = ["--features", "test-support"];

/// Builds the library with all of its symbols, which `generate` and `size` read, and gives back where it is.
pub(crate) fn library(profile: &str, features: &[&str]) -> Result<PathBuf> {
    let mut build = cargo::command(&["build", "-p", "whimbrel-ffi"]);
    if profile != "debug" {
        build
            .args(["--profile", profile])
            .env(format!("CARGO_PROFILE_{}_STRIP", profile.to_uppercase()), "false");
    }
    cargo::run(build.args(features))?;
    let library = cargo::target().join(format!("{profile}/{DLL_PREFIX}whimbrel_ffi{DLL_SUFFIX}"));
    has_large_pages(&library)?;
    Ok(library)
}

/// Whether it can be loaded where pages are of 16 KiB, as on newer devices with Android: read back from the ELF file.
pub(crate) fn has_large_pages(library: &Path) -> Result<()> {
    let bytes = fs::read(library)?;
    let number = |at: usize, size: usize| -> Result<u64> {
        let field = bytes.get(at..at + size).ok_or("a library that is cut off")?;
        Ok(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    // 64 bits, little end first; others are no concern of ours.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Ok(());
    }
    let (table, size, count) = (number(32, 8)? as usize, number(54, 2)? as usize, number(56, 2)? as usize);
    for header in (0..count).map(|index| table + index * size) {
        const LOAD: u64 = 1;
        let align = number(header + 48, 8)?;
        if number(header, 4)? == LOAD && align < 16_384 {
            return Err(format!("{}: a segment is aligned to {align} bytes", library.display()).into());
        }
    }
    Ok(())
}

pub(crate) fn generate(language: &str, library: &Path, out: &Path) -> Result<()> {
    // What is no longer generated must not be compiled.
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    let mut bindgen = Command::new(cargo::binary("bindgen")?);
    cargo::run(bindgen.arg(language).arg(library).arg(cargo::workspace().join("bindings/ffi")).arg(out))
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
