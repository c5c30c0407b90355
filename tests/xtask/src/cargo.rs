//! Cargo as a child, on the workspace that this was built from, with what it says going straight through.

use std::{
    env,
    io::{self, BufRead as _, BufReader},
    iter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use interop::found;

use crate::{Result, host};

/// The top of the repository: where cargo was called if it is a checkout, else where this was compiled.
pub(crate) fn workspace() -> PathBuf {
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    env::current_dir()
        .ok()
        .and_then(|here| {
            here.ancestors().find(|dir| dir.join("tests/xtask/Cargo.toml").is_file()).map(Path::to_owned)
        })
        .unwrap_or_else(|| compiled.to_owned())
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// `cargo …` in the workspace, not run yet.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(arguments);
    // `cargo xtask` runs us with the package's own variables, which are nobody else's business.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Runs a command to its end; a failure names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let words: Vec<String> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into())
        .collect();
    let shown = words.join(" ").replace(env::var("CARGO").as_deref().unwrap_or("cargo"), "cargo");
    eprintln!("+ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})").into()),
        Err(error) => Err(format!("`{shown}` did not start: {error}").into()),
    }
}

/// Lines of a failed run that are said again, at most.
const TOLD: usize = 100;

/// Runs tests: what they print goes through, and a failure says again which of it told of one. A long log may be read by its
/// end alone.
pub(crate) fn test(command: &mut Command) -> Result<()> {
    test_into(command, io::stdout())
}

fn test_into(command: &mut Command, mut out: impl io::Write + Send + 'static) -> Result<()> {
    let (said, pipe) = io::pipe()?;
    command.stdout(pipe.try_clone()?).stderr(pipe);
    let (tells, told) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(said).split(b'\n').try_for_each(|line| {
            let line = line?;
            out.write_all(&line)?;
            out.write_all(b"\n")?;
            out.flush()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            if tells_of_a_failure(&line) {
                let _ = tells.send(line);
            }
            io::Result::Ok(())
        })
    });
    let ended = run(command);
    // Ours of the pipe's ends. A server that a test has left behind may hold one, too, and is not waited for.
    command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let told =
        iter::from_fn(|| told.recv_timeout(Duration::from_secs(10)).ok()).take(TOLD).collect::<Vec<_>>();
    ended.map_err(|error| format!("{error}\n{}", told.join("\n")).into())
}

/// As cargo's test programs, JUnit under Maven and Swift's tests say it.
fn tells_of_a_failure(line: &str) -> bool {
    let is_cargos = line.starts_with("thread '") || line.contains(" FAILED") || line.starts_with("error");
    is_cargos || line.starts_with("[ERROR]") || line.contains('✘')
}

/// Builds the console and gives back where it is.
pub(crate) fn console(release: bool) -> Result<PathBuf> {
    // With it the sample that plays, which is looked for beside it.
    let mut build = command(&["build", "-p", "whimbrel", "--example", "console", "--example", "nim"]);
    if release {
        build.arg("--release");
    }
    run(&mut build)?;
    Ok(target().join(if release { "release" } else { "debug" }).join("examples/console"))
}

/// Builds one of the workspace's own programs, without optimisation, and gives back where it is.
pub(crate) fn binary(name: &str) -> Result<PathBuf> {
    // `--workspace`, or its dependencies would have other features than when everything is built, and be compiled twice.
    run(&mut command(&["build", "-q", "--workspace", "--bin", name]))?;
    Ok(target().join(format!("debug/{name}{}", env::consts::EXE_SUFFIX)))
}

/// `cargo xtask doc`.
pub(crate) fn doc() -> Result<()> {
    run(command(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// `cargo xtask deny`. Not part of `test`: compiling cargo-deny takes longer than all the rest.
pub(crate) fn deny() -> Result<()> {
    if !found("cargo-deny") {
        host::say(
            "Installing cargo-deny with cargo, which takes minutes. It goes with: cargo uninstall cargo-deny",
        );
        run(&mut command(&["install", "--locked", "cargo-deny"]))?;
    }
    run(&mut command(&["deny", "check", "licenses", "bans", "sources"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_again_what_told_of_it() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo fine; echo 'test alpha ... FAILED'; echo '✘ Test \"beta\" failed' >&2; exit 3",
        ]);
        let error = test_into(&mut command, io::sink()).expect_err("exit status 3").to_string();
        assert!(error.contains("alpha") && error.contains("beta") && !error.ends_with("fine"), "{error}");
        test_into(&mut Command::new("true"), io::sink()).expect("exit status 0");
    }
}
