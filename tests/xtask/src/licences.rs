//! `cargo xtask licences`: `bindings/THIRD_PARTY.md`, what others have written of the library and under which licence.
//!
//! The crates are those that cargo links into the library for Linux, Android, iOS and macOS; what only builds it is not in it. Who
//! offers Apache-2.0 is taken at that, which is our own licence; of the others each text is repeated, as they want it, once.
//! `cargo xtask deny` says which licences there may be at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{Result, cargo};

const FILE: &str = "bindings/THIRD_PARTY.md";
const TARGETS: [&str; 4] =
    ["x86_64-unknown-linux-gnu", "aarch64-linux-android", "aarch64-apple-ios", "aarch64-apple-darwin"];

/// What is in a crate and not written by its authors: name, licence, the crate, and its file in there if we repeat it.
const INSIDE: [(&str, &str, &str, Option<&str>); 3] = [
    ("SQLite", "public domain", "libsqlite3-sys", None),
    ("SQLCipher", "BSD-3-Clause", "libsqlite3-sys", Some("sqlcipher/LICENSE")),
    ("OpenSSL (not on Apple's systems)", "Apache-2.0", "openssl-src", None),
];

/// What the Kotlin packages need besides, the property with its version, and its licence.
const KOTLIN: [(&str, &str, &str); 3] = [
    ("Kotlin's standard library", "kotlin.version", "Apache-2.0"),
    ("kotlinx.coroutines", "coroutines.version", "Apache-2.0"),
    ("JNA", "jna.version", "Apache-2.0 OR LGPL-2.1-or-later"),
];

struct Package {
    name: String,
    version: String,
    licence: String,
    from: String,
    dir: PathBuf,
}

pub(crate) fn run() -> Result<()> {
    let metadata = cargo::command(&["metadata", "--format-version", "1", "--locked"]).output()?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout)?;
    let all: Vec<Package> =
        metadata["packages"].as_array().ok_or("no packages")?.iter().filter_map(package).collect();
    let linked = linked()?;
    let ours = |package: &&Package| package.name.starts_with("whimbrel");
    let crates: Vec<&Package> = all
        .iter()
        .filter(|package| linked.contains(&(package.name.clone(), package.version.clone())))
        .filter(|package| !ours(package))
        .collect();

    let mut text = String::from(
        "# Third parties\n\nWritten by `cargo xtask licences`. What of Whimbrel's library others have written, and under which \
         licence. Whimbrel itself is under Apache-2.0 (LICENSE), and so is here whatever offers it; the sources of all are where \
         the tables say, unchanged.\n\n## In the library\n\n| what | version | licence | from |\n|---|---|---|---|\n",
    );
    for Package { name, version, licence, from, .. } in &crates {
        writeln!(text, "| {name} | {version} | {licence} | {from} |")?;
    }
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut bare = Vec::new();
    for (name, licence, inside, file) in INSIDE {
        let package = all.iter().find(|package| package.name == inside);
        let package = package.ok_or_else(|| format!("{inside} is not there any more"))?;
        writeln!(text, "| {name} | as in {inside} {} | {licence} | {} |", package.version, package.from)?;
        if let Some(file) = file {
            let own = fs::read_to_string(package.dir.join(file))?;
            texts.entry(tidy(&own)).or_default().insert(name.to_owned());
        }
    }
    for package in &crates {
        if is_apache(&package.licence) {
            continue;
        }
        let own = own_texts(&package.dir)?;
        if own.is_empty() {
            bare.push(package);
        }
        for own in own {
            texts.entry(own).or_default().insert(package.name.clone());
        }
    }
    // Some have no file in the crate: another's of the same licence says the same, but for who wrote it.
    for package in bare {
        let like = crates.iter().filter(|other| other.licence == package.licence);
        let name =
            like.map(|other| &other.name).find(|name| texts.values().any(|users| users.contains(*name)));
        let name =
            name.cloned().ok_or_else(|| format!("{}: no text of {}", package.name, package.licence))?;
        let users = texts.values_mut().find(|users| users.contains(&name)).ok_or("it was there")?;
        users.insert(format!("{} (no file of its own)", package.name));
    }

    text += "\n## Needed by the Kotlin packages\n\n| what | version | licence |\n|---|---|---|\n";
    let versions =
        crate::package::properties(&fs::read_to_string(cargo::workspace().join("bindings/kotlin/pom.xml"))?);
    for (what, version, licence) in KOTLIN {
        writeln!(text, "| {what} | {} | {licence} |", versions[version])?;
    }
    text += "\n## Licences\n";
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (own, users) in texts {
        let users = users.into_iter().collect::<Vec<_>>().join(", ");
        write!(text, "\n### {users}\n\n```\n{own}\n```\n")?;
    }
    let file = cargo::workspace().join(FILE);
    fs::write(&file, text)?;
    println!("{}: {} crates", file.display(), crates.len());
    Ok(())
}

/// Names and versions of what is linked, by cargo's own word.
fn linked() -> Result<BTreeSet<(String, String)>> {
    let mut tree = cargo::command(&["tree", "-p", "whimbrel-ffi", "-e", "normal,no-proc-macro", "--locked"]);
    tree.args(["--prefix", "none", "--no-dedupe", "--format", "{p}"]);
    for target in TARGETS {
        tree.args(["--target", target]);
    }
    let tree = tree.output()?;
    let tree = String::from_utf8(tree.stdout)?;
    let linked = tree.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    });
    Ok(linked.collect())
}

fn package(value: &Value) -> Option<Package> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(Package {
        name: text("name")?,
        version: text("version")?,
        licence: text("license")?.replace('/', " OR "),
        from: text("repository").unwrap_or_default(),
        dir: Path::new(value["manifest_path"].as_str()?).parent()?.to_owned(),
    })
}

fn is_apache(licence: &str) -> bool {
    !licence.contains(" AND ") && licence.split(" OR ").any(|one| one == "Apache-2.0")
}

/// The texts in a crate, but for Apache's own.
fn own_texts(dir: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && ["LICENSE", "LICENCE", "COPYING"].iter().any(|word| name.starts_with(word)) {
            let text = tidy(&fs::read_to_string(path)?);
            if !text.lines().next().unwrap_or_default().contains("Apache License") {
                texts.push(text);
            }
        }
    }
    texts.sort();
    Ok(texts)
}

/// So that what differs by nothing but spaces is one text.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let text = lines.join("\n").replace("```", "'''");
    text.trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without asking cargo or the network, which would tell of a crate that is missing as well.
    #[test]
    fn every_crate_that_is_listed_is_the_one_that_is_locked() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let lock = fs::read_to_string(top.join("Cargo.lock")).unwrap();
        let file = fs::read_to_string(top.join(FILE)).unwrap();
        let (crates, _) = file.split_once("## Needed by").unwrap();
        let mut count = 0;
        for row in crates.lines().filter(|line| line.starts_with("| ")).skip(1) {
            let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
            let (name, version) = match cells[1].strip_prefix("as in ") {
                Some(inside) => inside.split_once(' ').unwrap(),
                None => (cells[0], cells[1]),
            };
            let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&locked), "{name} {version} is not what is linked: cargo xtask licences");
            count += 1;
        }
        assert!(count > 100);
    }

    #[test]
    fn what_offers_our_licence_is_taken_at_that() {
        assert!(is_apache("MIT OR Apache-2.0") && is_apache("Apache-2.0"));
        assert!(!is_apache("MIT") && !is_apache("Apache-2.0 AND ISC"));
        assert!(is_apache("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"));
    }
}
