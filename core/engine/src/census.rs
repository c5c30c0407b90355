//! How an account is doing, in numbers and states: for whoever has to find out what is wrong with it. No addresses, no content.

use std::fmt::Write as _;

use rusqlite::Connection;

use crate::error::Result;

/// What is counted, and how.
const COUNTS: [(&str, &str); 18] = [
    ("conversations", "SELECT count(*) FROM conversation"),
    ("messages", "SELECT count(*) FROM message"),
    ("of them ours, not sent", "SELECT count(*) FROM message WHERE mine = 1 AND state = 1"),
    ("of them ours, failed", "SELECT count(*) FROM message WHERE mine = 1 AND state = 5"),
    ("placeholders", "SELECT count(*) FROM message WHERE kind = 1"),
    ("known to the archive", "SELECT count(*) FROM archived"),
    ("not indexed", "SELECT count(*) FROM message WHERE id > (SELECT indexed FROM account)"),
    ("gaps, missing", "SELECT count(*) FROM gap WHERE kind = 0"),
    ("gaps, others", "SELECT count(*) FROM gap WHERE kind <> 0"),
    ("waiting to be sent", "SELECT count(*) FROM outbox WHERE number IS NULL"),
    ("under way", "SELECT count(*) FROM outbox WHERE number IS NOT NULL"),
    ("in doubt", "SELECT count(*) FROM outbox WHERE doubt = 1"),
    ("questions not answered", "SELECT count(*) FROM pending"),
    ("contacts", "SELECT count(*) FROM contact"),
    ("pictures", "SELECT count(*) FROM avatar"),
    ("in quarantine", "SELECT count(*) FROM quarantine"),
    ("openings of the file", "SELECT openings FROM account"),
    ("generation of the lease", "SELECT generation FROM lease"),
];

/// What is so or not.
const STATES: [(&str, &str); 11] = [
    ("password", "SELECT password IS NOT NULL FROM account"),
    ("another password under way", "SELECT new_password IS NOT NULL FROM account"),
    ("token", "SELECT token IS NOT NULL FROM login"),
    ("what the server offers", "SELECT offer IS NOT NULL FROM login"),
    ("archive there", "SELECT archive > 0 FROM login"),
    ("archive keeps everything", "SELECT archive = 2 FROM login"),
    ("client state offered", "SELECT csi FROM login"),
    ("push offered", "SELECT coalesce(push, 0) FROM login"),
    ("session to resume", "SELECT sm IS NOT NULL FROM session"),
    ("one at a time", "SELECT careful FROM session"),
    ("something unchecked", "SELECT check_position IS NOT NULL FROM session"),
];

/// A line for each.
///
/// # Errors
/// Where the world failed.
pub fn census(connection: &Connection) -> Result<String> {
    let mut text = String::new();
    for (name, sql) in COUNTS {
        let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        let _ = writeln!(text, "  {name}: {count}");
    }
    for (name, sql) in STATES {
        let is_so: bool = connection.query_row(sql, [], |row| row.get(0))?;
        let _ = writeln!(text, "  {name}: {}", if is_so { "yes" } else { "no" });
    }
    let page: (i64, i64) = connection.query_row(
        "SELECT (SELECT page_count FROM pragma_page_count), (SELECT freelist_count FROM pragma_freelist_count)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let _ = writeln!(text, "  pages of the file, of them free: {}, {}", page.0, page.1);
    Ok(text)
}
