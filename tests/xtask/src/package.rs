//! `cargo xtask package`: what a Kotlin app gets, as a Maven repository in a directory.
//!
//! Three packages of one version: `whimbrel-ffi`, what is generated; `whimbrel-jvm`, the face with the library for this machine
//! where JNA looks for it in a jar; `whimbrel-android`, the face as an AAR with libraries for phones. Maven compiles, and the
//! poms are those in `bindings/kotlin/published`, by which an app cannot compile against what is generated.
//!
//! An AAR is a zip with a manifest, so it is put together here; its libraries need the NDK and are given. Without them its layout
//! is checked all the same, on one that is thrown away. Then a program that has the jars and nothing else sends a message.

use std::{
    collections::BTreeMap,
    env::consts::{ARCH, DLL_PREFIX, DLL_SUFFIX, OS},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use interop::leashed;

use crate::{Result, bindings, cargo, host};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The profile to build the library with: `phone` is what is shipped, `dev` is built sooner
    #[arg(long, default_value = "phone")]
    profile: String,
    /// Libraries for Android, as cargo-ndk lays them out: DIR/arm64-v8a/libwhimbrel_ffi.so, and so on
    #[arg(long, value_name = "DIR")]
    android: Option<PathBuf>,
}

const LIBRARY: &str = "libwhimbrel_ffi.so";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    host::need(&host::BUILD, "150 MB, half a minute")?;
    host::need(&host::KOTLIN, "300 MB, a minute")?;
    let kotlin = cargo::workspace().join("bindings/kotlin");
    let out = cargo::target().join("packages");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;

    cargo::run(&mut cargo::command(&["build", "-p", "whimbrel-ffi", "--profile", &arguments.profile]))?;
    let built = if arguments.profile == "dev" { "debug" } else { &arguments.profile };
    let library = cargo::target().join(built).join(format!("{DLL_PREFIX}whimbrel_ffi{DLL_SUFFIX}"));
    bindings::has_large_pages(&library)?;
    let generated = out.join("generated");
    bindings::generate("kotlin", &library, &generated)?;

    let mut maven = leashed("mvn");
    maven.current_dir(&kotlin).args(["-B", "-ntp", "-Dmaven.test.skip"]);
    maven.arg(format!("-Dwhimbrel.generated={}", generated.display()));
    // Of the same build, or it would look for our own packages elsewhere.
    maven.args(["-DincludeScope=runtime", "-Dmdep.outputFile=target/classpath"]);
    cargo::run(maven.args(["clean", "package", "dependency:build-classpath"]))?;

    let pom = fs::read_to_string(kotlin.join("pom.xml"))?;
    let values = properties(&pom);
    let version = &values["project.version"];
    let compiled = |module: &str| kotlin.join(format!("{module}/target/whimbrel-{module}-{version}.jar"));

    // Where JNA looks for it, under its own names for systems and processors.
    let natives = out.join("natives");
    let home = natives.join(jna_platform()?);
    fs::create_dir_all(&home)?;
    fs::copy(&library, home.join(format!("{DLL_PREFIX}whimbrel_ffi{DLL_SUFFIX}")))?;
    let jvm = out.join("whimbrel-jvm.jar");
    fs::copy(compiled("jvm"), &jvm)?;
    jar("--update", &jvm, &natives)?;

    let repository = out.join("maven");
    let publish = |artifact: &str, file: &Path| -> Result<PathBuf> {
        let template = fs::read_to_string(kotlin.join(format!("published/{artifact}.pom")))?;
        let pom = out.join(format!("{artifact}.pom"));
        fs::write(&pom, filled(&template, &values)?)?;
        let mut deploy = leashed("mvn");
        deploy.current_dir(&out).args(["-B", "-ntp", "-q", "deploy:deploy-file"]);
        deploy.arg(format!("-Durl=file://{}", repository.display()));
        deploy.arg(format!("-DpomFile={}", pom.display())).arg(format!("-Dfile={}", file.display()));
        cargo::run(&mut deploy)?;
        let ending = file.extension().unwrap_or_default().to_string_lossy();
        Ok(repository.join(format!("im/whimbrel/{artifact}/{version}/{artifact}-{version}.{ending}")))
    };
    let ffi = publish("whimbrel-ffi", &compiled("ffi"))?;
    let jvm = publish("whimbrel-jvm", &jvm)?;
    let aar = match &arguments.android {
        Some(libraries) => {
            for abi in fs::read_dir(libraries)? {
                bindings::has_large_pages(&abi?.path().join(LIBRARY))?;
            }
            let aar = aar(&kotlin, &compiled("jvm"), libraries, &out)?;
            publish("whimbrel-android", &aar)?;
            "with its libraries"
        }
        None => {
            let stand_in = out.join("stand-in");
            fs::create_dir_all(stand_in.join("arm64-v8a"))?;
            fs::write(stand_in.join("arm64-v8a").join(LIBRARY), "")?;
            fs::remove_file(aar(&kotlin, &compiled("jvm"), &stand_in, &out)?)?;
            "whose layout was checked, and not made: it needs libraries from the NDK (--android)"
        }
    };

    let others = fs::read_to_string(kotlin.join("jvm/target/classpath"))?;
    let others = others.trim().split(':').filter(|path| !path.contains("whimbrel"));
    let jars: Vec<String> = [ffi.display().to_string(), jvm.display().to_string()]
        .into_iter()
        .chain(others.map(str::to_owned))
        .collect();
    let mut opens = leashed("java");
    opens.arg("-cp").arg(jars.join(":")).arg(kotlin.join("published/Opens.java")).arg(out.join("data"));
    cargo::run(&mut opens)?;
    println!(
        "{}: whimbrel-ffi, whimbrel-jvm for {}; whimbrel-android {aar}",
        repository.display(),
        jna_platform()?
    );
    Ok(())
}

/// An AAR of the face, with the libraries in a directory. Its layout is that of the Android Gradle plugin.
fn aar(kotlin: &Path, face: &Path, libraries: &Path, out: &Path) -> Result<PathBuf> {
    let dir = out.join("aar");
    fs::create_dir_all(&dir)?;
    let manifest = fs::read_to_string(kotlin.join("android/AndroidManifest.xml"))?;
    // What Gradle knows from its own script.
    let (head, rest) = manifest.split_once("\">\n").ok_or("a manifest without anything in it")?;
    let said = "    <uses-sdk android:minSdkVersion=\"26\" />\n";
    fs::write(
        dir.join("AndroidManifest.xml"),
        format!("{head}\"\n    package=\"im.whimbrel\">\n{said}{rest}"),
    )?;
    fs::copy(face, dir.join("classes.jar"))?;
    fs::copy(
        kotlin.join("ffi/src/main/resources/META-INF/proguard/whimbrel-ffi.pro"),
        dir.join("proguard.txt"),
    )?;
    // It has no resources.
    fs::write(dir.join("R.txt"), "")?;
    let mut expected: Vec<String> =
        ["AndroidManifest.xml", "R.txt", "classes.jar", "proguard.txt"].map(str::to_owned).into();
    for abi in fs::read_dir(libraries)? {
        let abi = abi?.file_name().to_string_lossy().into_owned();
        if !["arm64-v8a", "armeabi-v7a", "x86", "x86_64"].contains(&abi.as_str()) {
            return Err(format!("Android knows no processors called {abi}").into());
        }
        fs::create_dir_all(dir.join("jni").join(&abi))?;
        fs::copy(libraries.join(&abi).join(LIBRARY), dir.join("jni").join(&abi).join(LIBRARY))?;
        expected.push(format!("jni/{abi}/{LIBRARY}"));
    }
    expected.sort();
    let aar = out.join("whimbrel-android.aar");
    jar("--create", &aar, &dir)?;
    let listed = leashed("jar").arg("--list").arg("--file").arg(&aar).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let mut found: Vec<&str> = listed.lines().filter(|name| !name.ends_with('/')).collect();
    found.sort_unstable();
    if found != expected {
        return Err(format!("an AAR of {found:?} is none").into());
    }
    Ok(aar)
}

/// A zip, which is all that a jar and an AAR are.
fn jar(action: &str, file: &Path, dir: &Path) -> Result<()> {
    let mut jar = Command::new("jar");
    jar.arg(action).arg("--file").arg(file);
    if action == "--create" {
        jar.arg("--no-manifest");
    }
    cargo::run(jar.arg("-C").arg(dir).arg("."))
}

/// The directory of a jar in which JNA looks for libraries of this machine.
fn jna_platform() -> Result<String> {
    let system = match OS {
        "linux" => "linux",
        "macos" => "darwin",
        other => return Err(format!("no library for {other} was ever tried").into()),
    };
    Ok(format!("{system}-{}", ARCH.replace('_', "-")))
}

/// The properties of a pom, and its version.
pub(crate) fn properties(pom: &str) -> BTreeMap<String, String> {
    let lines = pom.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix('<')?.split_once('>')?;
        let value = rest.strip_suffix(&format!("</{name}>"))?;
        Some((if name == "version" { "project.version" } else { name }, value))
    });
    // The first of each name: its own version stands before those of plugins.
    let mut properties = BTreeMap::new();
    for (name, value) in lines {
        properties.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    properties
}

/// A text with what stands in `${}` put in its place.
fn filled(template: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut pieces = template.split("${");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('}').ok_or("a ${ without its }")?;
        text += values.get(name).ok_or_else(|| format!("no property is called {name}"))?;
        text += rest;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poms_are_filled_in_from_the_one_that_builds() {
        let pom = "<version>1.2.3</version>\n  <kotlin.version>2.4</kotlin.version>\n<version>${kotlin.version}</version>";
        let values = properties(pom);
        let filled_in = filled("<a>${project.version}</a><b>${kotlin.version}</b>", &values).unwrap();
        assert_eq!(filled_in, "<a>1.2.3</a><b>2.4</b>");
        assert!(filled("${jna.version}", &values).is_err());
    }
}
