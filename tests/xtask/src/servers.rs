//! `cargo xtask servers`: the Debian trees with the servers in them, and one server to try something on.

use std::io;

use clap::{Args, Subcommand, ValueEnum};
use interop::{Kind, Options, Release, Root, Server};

use crate::{Result, host};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Makes the Debian trees now
    Install,
    /// Runs one until the end of input (Ctrl-D)
    Start {
        kind: Which,
        /// Prints ports, accounts and certificate as JSON
        #[arg(long)]
        json: bool,
        /// Largest page of the archive (Prosody)
        #[arg(long)]
        mam_page: Option<u32>,
        /// Logs every stanza
        #[arg(long)]
        verbose: bool,
    },
    /// Deletes the Debian trees
    Remove,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "verbatim")]
enum Which {
    #[value(name = "prosody-13", alias = "prosody")]
    Prosody13,
    #[value(name = "prosody-0.12")]
    Prosody012,
    #[value(name = "ejabberd")]
    Ejabberd,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Install => {
            for release in Release::ALL {
                if let Root::Tree(tree) = Root::ensure(release, &host::say)? {
                    host::say(&format!("Debian {} is in {}", release.name(), tree.display()));
                }
            }
            Ok(())
        }
        What::Remove => {
            let removed = interop::remove_all()?;
            for tree in &removed {
                host::say(&format!("Deleted {}", tree.display()));
            }
            if removed.is_empty() {
                host::say(&format!("There is nothing in {}", interop::cache_dir()?.display()));
            }
            Ok(())
        }
        What::Start { kind, json, mam_page, verbose } => {
            let kind = match kind {
                Which::Prosody13 => Kind::Prosody13,
                Which::Prosody012 => Kind::Prosody012,
                Which::Ejabberd => Kind::Ejabberd,
            };
            let options = Options { mam_page: *mam_page, verbose: *verbose, ..Options::default() };
            start(kind, options, *json)
        }
    }
}

fn start(kind: Kind, options: Options, json: bool) -> Result<()> {
    let server = Server::start(kind, options)?;
    if json {
        println!(
            "{}",
            serde_json::json!({
                "server": kind.name(), "starttls": server.port(), "direct_tls": server.direct_tls_port(),
                "ca": server.ca(), "log": server.log(),
                "accounts": { "alice@a.test": "secret-a", "bob@a.test": "secret-b", "bob@b.test": "secret-b" },
            })
        );
    } else {
        println!("{} listens on 127.0.0.1", kind.name());
        println!("  STARTTLS    {}", server.port());
        println!("  direct TLS  {}", server.direct_tls_port());
        println!("  authority   {}", server.ca().display());
        println!("  log         {}", server.log().display());
        println!("  accounts    alice@a.test secret-a, bob@a.test secret-b, bob@b.test secret-b");
        println!("It stops at the end of input (Ctrl-D).");
    }
    for line in io::stdin().lines() {
        line?;
    }
    drop(server);
    Ok(())
}
