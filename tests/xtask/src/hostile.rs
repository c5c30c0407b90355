//! `cargo xtask test --hostile`: what hostile contacts, servers, networks and devices do, row by row.
//!
//! `tests/hostile.txt` lists the rows, and says how a test belongs to one. A row has passed if it has tests and all of them
//! have passed. A row that waits for something that is not built yet must have none: whoever builds it takes the word away.
//!
//! The tests are run by their own programs; what these print is read here. A program that dies in the middle counts: it says
//! at the beginning how many results are due.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use interop::{Release, Root};

use crate::{Result, cargo, host};

const ROWS: &str = include_str!("../../hostile.txt");

#[derive(Debug, PartialEq)]
struct Row<'a> {
    section: &'a str,
    name: &'a str,
    waits_for: Option<&'a str>,
}

/// How the tests of a row ended.
#[derive(Debug, Default, PartialEq)]
struct Tests {
    passed: Vec<String>,
    failed: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Ended {
    Passed,
    Failed(String),
    Waits,
}

/// Runs the tests of all rows and prints the table.
pub(crate) fn run(servers_at_a_time: usize) -> Result<()> {
    host::need(&host::BUILD, "150 MB, half a minute")?;
    for release in [Release::Bookworm, Release::Trixie] {
        Root::ensure(release, &host::say)?;
    }
    let console = cargo::console(false)?;
    table(servers_at_a_time, &console)
}

/// Likewise, where everything that the tests need is there.
pub(crate) fn table(servers_at_a_time: usize, console: &Path) -> Result<()> {
    let rows = rows(ROWS)?;
    let mut results = Results::default();
    let (over_servers, alone): (Vec<String>, Vec<String>) =
        packages()?.into_iter().partition(|package| package == "interop");
    if !alone.is_empty() {
        results.run(&alone, &[], console)?;
    }
    if !over_servers.is_empty() {
        results.run(&over_servers, &[format!("--test-threads={servers_at_a_time}")], console)?;
    }
    let mut tests = results.by_row(&rows);
    let ended: Vec<(&Row<'_>, usize, Ended)> = rows
        .iter()
        .map(|row| {
            let tests = tests.remove(row.name).unwrap_or_default();
            (row, tests.passed.len() + tests.failed.len(), judge(row, &tests))
        })
        .collect();
    print!("{}", drawn(&ended));
    let count = |what: fn(&Ended) -> bool| ended.iter().filter(|(_, _, ended)| what(ended)).count();
    let failed = count(|ended| matches!(ended, Ended::Failed(_)));
    println!("{} waiting", count(|ended| *ended == Ended::Waits));
    println!("{} passed, {failed} failed", count(|ended| *ended == Ended::Passed));
    if results.due != results.tests.len() {
        return Err(format!(
            "a test program died: {} of {} tests have a result",
            results.tests.len(),
            results.due
        )
        .into());
    }
    if failed > 0 { Err("not every row passed".into()) } else { Ok(()) }
}

fn rows(text: &str) -> Result<Vec<Row<'_>>> {
    let mut section = "";
    let mut rows: Vec<Row<'_>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("== ") {
            section = name;
        } else if !line.is_empty() && !line.starts_with('#') {
            let (name, waits_for) = match line.split_once(':') {
                Some((name, what)) => (name, Some(what.trim())),
                None => (line, None),
            };
            if rows.iter().any(|row| row.name == name) {
                return Err(format!("tests/hostile.txt has {name} twice").into());
            }
            rows.push(Row { section, name, waits_for });
        }
    }
    Ok(rows)
}

/// The packages that have a module `hostile`.
fn packages() -> Result<Vec<String>> {
    let metadata =
        cargo::command(&["metadata", "--no-deps", "--offline", "--format-version", "1"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (Some(name), Some(manifest)) = (package["name"].as_str(), package["manifest_path"].as_str())
        else {
            continue;
        };
        let dir = Path::new(manifest).parent().unwrap_or(Path::new("."));
        if ["src", "tests"].iter().any(|sources| has_module(&dir.join(sources))) {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

fn has_module(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            has_module(&path)
        } else {
            path.extension().is_some_and(|extension| extension == "rs")
                && fs::read_to_string(&path).is_ok_and(|text| {
                    text.lines().map(|line| line.trim_start().trim_start_matches("pub(crate) ")).any(|line| {
                        line.strip_prefix("mod hostile")
                            .is_some_and(|rest| rest.trim_start().starts_with([';', '{']))
                    })
                })
        }
    })
}

/// What the test programs said.
#[derive(Debug, Default)]
struct Results {
    /// (path, whether it passed)
    tests: Vec<(String, bool)>,
    /// How many results they said would come.
    due: usize,
    /// What failed tests have printed is being read.
    details: bool,
}

impl Results {
    fn run(&mut self, packages: &[String], options: &[String], console: &Path) -> Result<()> {
        let arguments = |more: &[&str]| {
            let mut command = cargo::command(&["test", "--tests"]);
            command.args(packages.iter().flat_map(|package| ["-p", package])).args(more);
            command
        };
        cargo::run(&mut arguments(&["--no-run", "--quiet"]))?;
        let mut tests = arguments(&["--no-fail-fast", "--", "hostile::", "--format=pretty"]);
        tests.args(options).env("WHIMBREL_CONSOLE", console);
        eprintln!("+ the tests named hostile:: of {}", packages.join(", "));
        self.listen(&mut tests)
    }

    fn listen(&mut self, tests: &mut Command) -> Result<()> {
        let mut child = tests.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("a child without stdout")?;
        for line in BufReader::new(stdout).split(b'\n') {
            self.line(&String::from_utf8_lossy(&line?));
        }
        // Whether it failed is in the lines, and whether it died in their number.
        child.wait()?;
        Ok(())
    }

    fn line(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix("running ").and_then(|rest| rest.split(' ').next()) {
            self.due += number.parse().unwrap_or(0);
        }
        let result = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "));
        match result {
            Some((path, "ok")) => self.tests.push((path.to_owned(), true)),
            // One that is ignored shows nothing.
            Some((path, ended)) if ended == "FAILED" || ended.starts_with("ignored") => {
                self.tests.push((path.to_owned(), false));
            }
            _ => {}
        }
        if line.starts_with("test result: ") {
            self.details = false;
        }
        self.details |= line == "failures:";
        if self.details {
            println!("{line}");
        }
    }

    fn by_row(&self, rows: &[Row<'_>]) -> BTreeMap<String, Tests> {
        let mut by_row = BTreeMap::<String, Tests>::new();
        for (path, passed) in &self.tests {
            if let Some(row) = row_of(path, rows) {
                let tests = by_row.entry(row.name.to_owned()).or_default();
                if *passed { &mut tests.passed } else { &mut tests.failed }.push(path.clone());
            }
        }
        by_row
    }
}

/// The row that a test belongs to: behind the module `hostile`, a segment of its path is the row's name, or begins with it.
fn row_of<'a, 'b>(path: &str, rows: &'a [Row<'b>]) -> Option<&'a Row<'b>> {
    let names = |row: &Row<'_>, segment: &str| {
        segment.strip_prefix(row.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let mut segments = path.split("::").skip_while(|segment| *segment != "hostile").skip(1);
    segments
        .find_map(|segment| rows.iter().filter(|row| names(row, segment)).max_by_key(|row| row.name.len()))
}

fn judge(row: &Row<'_>, tests: &Tests) -> Ended {
    match row.waits_for {
        Some(_) if tests == &Tests::default() => Ended::Waits,
        Some(_) => Ended::Failed("is said to wait, and has a test".into()),
        None if !tests.failed.is_empty() => Ended::Failed(tests.failed.join(", ")),
        None if tests.passed.is_empty() => Ended::Failed("has no test".into()),
        None => Ended::Passed,
    }
}

/// The table: by section, and what waits at the end.
fn drawn(ended: &[(&Row<'_>, usize, Ended)]) -> String {
    let mut out = String::new();
    let mut section = "";
    for (row, tests, ended) in ended.iter().filter(|(_, _, ended)| *ended != Ended::Waits) {
        if section != row.section {
            section = row.section;
            out.push_str(&format!("\n{section}\n"));
        }
        let line = match ended {
            Ended::Failed(why) => format!("  FAILED   {tests:>3}  {}: {why}\n", row.name),
            _ => format!("  passed   {tests:>3}  {}\n", row.name),
        };
        out.push_str(&line);
    }
    out.push_str("\nWaiting\n");
    for (row, _, _) in ended.iter().filter(|(_, _, ended)| *ended == Ended::Waits) {
        out.push_str(&format!("  waiting       {:<28} {}\n", row.name, row.waits_for.unwrap_or_default()));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# comment\n== Forgery\nforged_carbon\nforged_pep: eventing\n\n== Sizes\nhuge_text\n";

    #[test]
    fn the_list_is_read() {
        assert!(rows(ROWS).unwrap().len() > 100);
        let rows = rows(LIST).unwrap();
        assert_eq!(rows[1], Row { section: "Forgery", name: "forged_pep", waits_for: Some("eventing") });
        assert_eq!((rows[2].section, rows[2].waits_for), ("Sizes", None));
        assert!(super::rows("a\na").is_err());
    }

    #[test]
    fn a_test_belongs_to_the_row_that_its_path_names() {
        let rows = rows(LIST).unwrap();
        let row = |path| row_of(path, &rows).map(|row| row.name);
        assert_eq!(row("tests::forgery::hostile::forged_carbon"), Some("forged_carbon"));
        assert_eq!(row("hostile::huge_text::over_ejabberd"), Some("huge_text"));
        assert_eq!(row("hostile::sizes::huge_text_in_a_name"), Some("huge_text"));
        assert_eq!(row("tests::huge_text"), None);
        assert_eq!(row("hostile::huge_texts"), None);
    }

    #[test]
    fn what_the_programs_say_is_judged() {
        let rows = rows(LIST).unwrap();
        let judged = |lines: &[&str]| {
            let mut results = Results::default();
            lines.iter().for_each(|line| results.line(line));
            let mut tests = results.by_row(&rows);
            let ended: Vec<Ended> =
                rows.iter().map(|row| judge(row, &tests.remove(row.name).unwrap_or_default())).collect();
            (results.due, results.tests.len(), ended)
        };
        let (due, had, ended) = judged(&[
            "running 3 tests",
            "test a::hostile::forged_carbon ... ok",
            "test hostile::huge_text::one ... ok",
            "test hostile::huge_text::two ... FAILED",
        ]);
        assert_eq!((due, had), (3, 3));
        assert_eq!(ended, [Ended::Passed, Ended::Waits, Ended::Failed("hostile::huge_text::two".into()),]);
        let (due, had, ended) = judged(&[
            "running 3 tests",
            "test a::hostile::forged_pep ... ok",
            "test a::hostile::forged_carbon ... ignored, not today",
        ]);
        assert_eq!((due, had), (3, 2), "a program that died is noticed");
        assert!(ended.iter().all(|ended| matches!(ended, Ended::Failed(_))), "{ended:?}");
    }
}
