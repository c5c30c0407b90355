//! Debian trees with servers in them, made once and kept in the cache directory.
//!
//! The tests want Prosody 13, Prosody 0.12, ejabberd 24.12 and a Swift compiler, and no host has them all. A tree made by
//! mmdebstrap from the host's own package mirror has what a Debian release has, costs the host nothing but disk, and goes by
//! deleting a directory. A tree is built under another name and renamed when whole, under a lock, so that it is there or not.
//!
//! `$WHIMBREL_CACHE`, else `$XDG_CACHE_HOME/whimbrel`, else `~/.cache/whimbrel`. The mirror is the first Debian one among
//! apt's sources, or `$WHIMBREL_MIRROR`.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use crate::{Error, Result, leashed, run_to_end};

/// The script that enters a tree; written beside the data, so that nothing here depends on where the sources lie.
const ENTER: &str = include_str!("../servers/debian-root.sh");

/// A Debian release with what we want of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Debian 13: Prosody 13, ejabberd 24.12, Swift 6.
    Trixie,
    /// Debian 12: Prosody 0.12.
    Bookworm,
}

impl Release {
    /// Both, the smaller first.
    pub const ALL: [Release; 2] = [Release::Bookworm, Release::Trixie];

    /// Debian's own name for it.
    pub fn name(self) -> &'static str {
        match self {
            Release::Trixie => "trixie",
            Release::Bookworm => "bookworm",
        }
    }

    fn packages(self) -> &'static str {
        match self {
            Release::Trixie => {
                "ca-certificates,openssl,prosody,prosody-modules,lua-dbi-sqlite3,lua-unbound,ejabberd,erlang-p1-sqlite3,\
                 swiftlang,libc6-dev,libstdc++-14-dev"
            }
            Release::Bookworm => "ca-certificates,openssl,prosody,prosody-modules",
        }
    }

    fn contents(self) -> &'static str {
        match self {
            Release::Trixie => "Prosody 13, ejabberd 24.12 and Swift 6",
            Release::Bookworm => "Prosody 0.12",
        }
    }

    fn cost(self) -> &'static str {
        match self {
            Release::Trixie => "2.6 GB, two minutes",
            Release::Bookworm => "250 MB, less than a minute",
        }
    }
}

/// A Debian tree, or the host itself where it has the server already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A tree made by mmdebstrap.
    Tree(PathBuf),
    /// This machine.
    Host,
}

impl Root {
    /// The tree of `release`, made now if it is not there; `say` gets a line about what is installed and what it costs.
    pub fn ensure(release: Release, say: &dyn Fn(&str)) -> Result<Root> {
        let cache = cache_dir()?;
        let tree = cache.join(release.name());
        if !rustix::process::geteuid().is_root() {
            return Err(Error::Unavailable(format!(
                "only root can make and enter the Debian tree with {}: run this as root",
                release.contents()
            )));
        }
        if is_whole(&tree, release) {
            return Ok(Root::Tree(tree));
        }
        fs::create_dir_all(&cache).map_err(Error::io(format!("making {}", cache.display())))?;
        let lock = File::create(cache.join("lock")).map_err(Error::io("making the cache's lock"))?;
        lock.lock().map_err(Error::io("waiting for another process that makes a Debian tree"))?;
        if is_whole(&tree, release) {
            return Ok(Root::Tree(tree));
        }
        make(&tree, release, say)?;
        Ok(Root::Tree(tree))
    }

    /// A command inside, leashed to us, that sees `dir` under its own name. The environment is empty but for what
    /// `variables` set.
    pub fn command(&self, dir: &Path, variables: &[(&str, String)], program: &[&str]) -> Result<Command> {
        let mut command = match self {
            Root::Host => leashed("env"),
            Root::Tree(tree) => {
                let enter = dir.join("enter.sh");
                fs::write(&enter, ENTER).map_err(Error::io("writing enter.sh"))?;
                let mut command = leashed("bash");
                command.arg(enter).arg(tree).arg(dir).arg("env");
                command
            }
        };
        command.args(variables.iter().map(|(name, value)| format!("{name}={value}"))).args(program);
        Ok(command)
    }
}

/// Where the trees are kept.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("WHIMBREL_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("whimbrel")))
        .or_else(|| Some(set("HOME")?.join(".cache/whimbrel")))
        .ok_or_else(|| {
            Error::Unavailable(
                "no home directory: set WHIMBREL_CACHE to where Debian trees can be kept".into(),
            )
        })
}

/// The host itself, if it has a Prosody that is new enough with the modules for SASL2.
///
/// Asks `prosodyctl about`; never `prosody --version`, which starts a server on the public ports.
pub fn host_prosody() -> Option<Root> {
    let output = run_to_end(
        {
            let mut about = leashed("prosodyctl");
            about.arg("about");
            about
        },
        "prosodyctl about",
    )
    .ok()?;
    let about = String::from_utf8_lossy(&output.stdout).into_owned();
    let version: u32 = about.strip_prefix("Prosody ")?.split(['.', ' ', '\n']).next()?.parse().ok()?;
    let has_fast =
        ["/usr/lib/prosody/modules", "/usr/local/lib/prosody/modules", "/usr/share/prosody/modules"]
            .iter()
            .any(|dir| {
                Path::new(dir).join("mod_sasl2_fast").exists()
                    || Path::new(dir).join("mod_sasl2_fast.lua").exists()
            });
    (version >= 13 && has_fast && rustix::process::geteuid().is_root()).then_some(Root::Host)
}

/// Written last into a tree: what was asked for, so that a longer list makes a new tree.
const STAMP: &str = "whimbrel-packages";

fn is_whole(tree: &Path, release: Release) -> bool {
    fs::read_to_string(tree.join(STAMP)).is_ok_and(|packages| packages.trim() == release.packages())
}

fn make(tree: &Path, release: Release, say: &dyn Fn(&str)) -> Result<()> {
    let started = Instant::now();
    let mirror = mirror()?;
    say(&format!(
        "Making a Debian {} tree with {} ({}), from {mirror}. It goes with: cargo xtask servers remove, or rm -r {}",
        release.name(),
        release.contents(),
        release.cost(),
        tree.display()
    ));
    install_mmdebstrap(say)?;
    let unfinished = tree.with_extension("unfinished");
    for old in [&unfinished, tree] {
        if old.exists() {
            remove_tree(old)?;
        }
    }
    let mut command = leashed("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"]);
    command.args(["--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"3\""]);
    command.args(proxies().iter().map(|option| format!("--aptopt={option}")));
    command
        .arg(format!("--include={}", release.packages()))
        .arg(release.name())
        .arg(&unfinished)
        .arg(&mirror);
    run_to_end(command, "mmdebstrap")?;
    fs::write(unfinished.join(STAMP), release.packages()).map_err(Error::io("writing into the new tree"))?;
    fs::rename(&unfinished, tree).map_err(Error::io(format!("renaming {}", unfinished.display())))?;
    say(&format!(
        "Made the Debian {} tree: {} MB in {} s.",
        release.name(),
        megabytes(tree),
        started.elapsed().as_secs()
    ));
    Ok(())
}

/// Deletes a tree, without ever crossing into another file system.
fn remove_tree(tree: &Path) -> Result<()> {
    let mut command = leashed("rm");
    command.args(["-rf", "--one-file-system", "--"]).arg(tree);
    run_to_end(command, "removing an old tree").map(|_| ())
}

/// Deletes every tree in the cache; gives back what was there.
pub fn remove_all() -> Result<Vec<PathBuf>> {
    let cache = cache_dir()?;
    let trees = Release::ALL.into_iter().flat_map(|release| {
        let tree = cache.join(release.name());
        [tree.with_extension("unfinished"), tree]
    });
    let there: Vec<PathBuf> = trees.filter(|tree| tree.exists()).collect();
    for tree in &there {
        remove_tree(tree)?;
    }
    Ok(there)
}

/// For apt: others may be installing something as well, and mirrors fail now and then.
pub const APT_PATIENCE: [&str; 2] = ["-oDPkg::Lock::Timeout=300", "-oAcquire::Retries=3"];

fn install_mmdebstrap(say: &dyn Fn(&str)) -> Result<()> {
    if found("mmdebstrap") {
        return Ok(());
    }
    if !found("apt-get") {
        return Err(Error::Unavailable(
            "neither mmdebstrap nor apt-get is here: install mmdebstrap, which makes the Debian trees with the servers".into(),
        ));
    }
    say("Installing mmdebstrap with apt (less than 1 MB). It goes with: apt-get purge mmdebstrap");
    let mut update = leashed("apt-get");
    update.args(APT_PATIENCE).args(["-q", "update"]);
    run_to_end(update, "apt-get update")?;
    let mut install = leashed("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(APT_PATIENCE);
    install.args(["-qy", "--no-install-recommends", "install"]);
    install.args(["mmdebstrap", "debian-archive-keyring"]);
    run_to_end(install, "apt-get install mmdebstrap").map(|_| ())
}

/// Whether a program of this name is on the path.
pub fn found(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// The host's own way out, which mmdebstrap's apt would not know about.
fn proxies() -> Vec<String> {
    let mut dump = leashed("apt-config");
    dump.arg("dump");
    let dumped =
        run_to_end(dump, "apt-config").map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let is_proxy = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        name.starts_with("acquire::") && name.contains("proxy") && !line.ends_with("\"\";")
    };
    dumped
        .unwrap_or_default()
        .lines()
        .filter(is_proxy)
        .map(|line| line.trim_end_matches(';').to_owned())
        .collect()
}

/// The first Debian mirror among apt's sources.
fn mirror() -> Result<String> {
    if let Ok(mirror) = env::var("WHIMBREL_MIRROR") {
        return Ok(mirror);
    }
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let mut more: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    more.sort();
    files.append(&mut more);
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let found = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => one_line_mirror(&text),
            Some("sources") => deb822_mirror(&text),
            _ => None,
        };
        if let Some(mirror) = found {
            return Ok(mirror);
        }
    }
    Err(Error::Unavailable(
        "apt's sources name no Debian mirror: set WHIMBREL_MIRROR to one, for the tree with the servers"
            .into(),
    ))
}

const SUITES: [&str; 10] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "sid",
];

fn one_line_mirror(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim().strip_prefix("deb ")?.trim_start();
        let line = if line.starts_with('[') { line.split_once(']')?.1 } else { line };
        let mut words = line.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        (SUITES.contains(&suite) && words.any(|component| component == "main")).then(|| plain(uri))?
    })
}

fn deb822_mirror(text: &str) -> Option<String> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            let is_it =
                |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
            stanza.lines().find(is_it).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
        };
        let has = |name, wanted: &[&str]| {
            field(name)?.split_whitespace().any(|word| wanted.contains(&word)).then_some(())
        };
        has("Types", &["deb"])?;
        has("Suites", &SUITES)?;
        has("Components", &["main"])?;
        if field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no")) {
            return None;
        }
        plain(field("URIs")?.split_whitespace().next()?)
    })
}

/// Cloud images write `mirror+file:/etc/apt/mirrors/debian.list`, a file with mirrors in it.
fn plain(uri: &str) -> Option<String> {
    let Some(file) = uri.strip_prefix("mirror+file:") else { return Some(uri.to_owned()) };
    let listed = fs::read_to_string(file).ok()?;
    listed.lines().find_map(|line| line.split_whitespace().next()).map(str::to_owned)
}

fn megabytes(tree: &Path) -> u64 {
    fn blocks(path: &Path) -> u64 {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
            .map(|(path, meta)| meta.blocks() + if meta.is_dir() { blocks(&path) } else { 0 })
            .sum()
    }
    blocks(tree) / 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_is_found_among_other_peoples_sources() {
        let text = "# deb http://old.example/debian bookworm main\n\
                    deb http://vendor.example/apt cloud-bookworm main\n\
                    deb-src http://mirror.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib\n";
        assert_eq!(one_line_mirror(text).as_deref(), Some("http://mirror.example/debian"));
    }

    #[test]
    fn security_and_foreign_stanzas_are_no_mirror() {
        let text = "Types: deb\nURIs: http://vendor.example/node\nSuites: nodistro\nComponents: main\n\n\
                    Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
                    Types: deb deb-src\n# note\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\n";
        assert_eq!(deb822_mirror(text).as_deref(), Some("http://mirror.example/debian"));
    }

    #[test]
    fn host_without_debian_sources_has_no_mirror() {
        assert_eq!(one_line_mirror("deb http://other.example/ubuntu noble main"), None);
        assert_eq!(
            deb822_mirror("Types: deb\nURIs: http://other.example/ubuntu\nSuites: noble\nComponents: main\n"),
            None
        );
    }
}
