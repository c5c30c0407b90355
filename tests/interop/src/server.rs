//! Somebody else's XMPP server, in a directory and on ports of its own.
//!
//! The scripts and configurations of `servers/` are compiled in and written beside the data, so a binary that was built
//! here runs anywhere. Every server has alice@a.test (secret-a), bob@a.test and bob@b.test (secret-b), one certificate for
//! all names from an authority of its own, and loopback ports only.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Error, Release, Result, Root, Scratch, host_prosody, ports::PortBlock, process, run_to_end, spawn,
};

const FILES: [(&str, &str); 5] = [
    ("certificates.sh", include_str!("../servers/certificates.sh")),
    ("prosody.sh", include_str!("../servers/prosody.sh")),
    ("prosody.cfg.lua", include_str!("../servers/prosody.cfg.lua")),
    ("ejabberd.sh", include_str!("../servers/ejabberd.sh")),
    ("ejabberd.yml.in", include_str!("../servers/ejabberd.yml.in")),
];

/// What every server starts with: user, host, password.
const ACCOUNTS: [(&str, &str, &str); 3] =
    [("alice", "a.test", "secret-a"), ("bob", "a.test", "secret-b"), ("bob", "b.test", "secret-b")];

/// On a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(90);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Prosody 13: SASL2, Bind2, inline stream management, FAST.
    Prosody13,
    /// Prosody 0.12: logs in the way of RFC 6120.
    Prosody012,
    /// ejabberd 24.12: like Prosody 13, by other people.
    Ejabberd,
}

impl Kind {
    /// All that we test against.
    pub const ALL: [Kind; 3] = [Kind::Prosody13, Kind::Prosody012, Kind::Ejabberd];

    /// For people and for directory names.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Prosody13 => "prosody-13",
            Kind::Prosody012 => "prosody-0.12",
            Kind::Ejabberd => "ejabberd",
        }
    }

    /// The Debian tree that has it; the host itself if it has a Prosody that will do.
    pub fn root(self, say: &dyn Fn(&str)) -> Result<Root> {
        let from_host = if self == Kind::Prosody13 { host_prosody() } else { None };
        match (from_host, self) {
            (Some(host), _) => Ok(host),
            (None, Kind::Prosody012) => Root::ensure(Release::Bookworm, say),
            (None, Kind::Prosody13 | Kind::Ejabberd) => Root::ensure(Release::Trixie, say),
        }
    }
}

/// How a server differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Largest page of the archive that Prosody grants; its own default (50) if `None`.
    pub mam_page: Option<u32>,
    /// How long a session waits for its client to come back; ten minutes if `None`.
    pub hibernation: Option<Duration>,
    /// Where the data lies, kept afterwards; a directory in memory that goes with the server if `None`.
    pub data: Option<PathBuf>,
    /// Prosody's archives in SQLite, where ejabberd's always are. Its internal storage reads a list from the beginning for each
    /// page: 1.8 s a page at the end of ten thousand messages (13.0.1).
    pub sql_archive: bool,
    /// Largest stanza that a client may send, in bytes; half a megabyte (Prosody) or a quarter (ejabberd) if `None`.
    pub largest: Option<usize>,
    /// Log every stanza.
    pub verbose: bool,
}

#[derive(Debug)]
enum Place {
    Ours(Scratch),
    Given(PathBuf),
}

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    options: Options,
    root: Root,
    ports: PortBlock,
    place: Place,
    child: Option<Child>,
}

impl Server {
    /// Starts one and waits until it takes connections and has its accounts. Makes the Debian tree first if need be, which
    /// takes minutes and says so on stderr.
    pub fn start(kind: Kind, options: Options) -> Result<Server> {
        let root = kind.root(&|line| eprintln!("{line}"))?;
        let place = match &options.data {
            None => Place::Ours(Scratch::new(kind.name())?),
            Some(dir) => {
                fs::create_dir_all(dir).map_err(Error::io(format!("making {}", dir.display())))?;
                Place::Given(dir.canonicalize().map_err(Error::io(format!("finding {}", dir.display())))?)
            }
        };
        let mut server = Server { kind, options, root, ports: PortBlock::take()?, place, child: None };
        let scripts = server.dir().join("scripts");
        fs::create_dir_all(&scripts).map_err(Error::io("making the directory for scripts"))?;
        for (name, text) in FILES {
            fs::write(scripts.join(name), text).map_err(Error::io(format!("writing {name}")))?;
        }
        server.run()?;
        Ok(server)
    }

    /// The kind that was asked for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Loopback port for STARTTLS.
    pub fn port(&self) -> u16 {
        self.ports.first()
    }

    /// Loopback port for direct TLS.
    pub fn direct_tls_port(&self) -> u16 {
        self.ports.first() + 1
    }

    /// The authority that signed its certificate, PEM.
    pub fn ca(&self) -> PathBuf {
        self.dir().join("certs/ca.crt")
    }

    /// The server's own log.
    pub fn log(&self) -> PathBuf {
        self.dir().join("server.log")
    }

    /// Everything that it keeps.
    pub fn dir(&self) -> &Path {
        match &self.place {
            Place::Ours(scratch) => scratch.path(),
            Place::Given(dir) => dir,
        }
    }

    /// Stops it as an administrator would and starts it again: same data, same ports, sessions gone.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.run()
    }

    /// SIGTERM, and SIGKILL for one that does not listen. The data stays; [`Server::restart`] brings it back.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::signal_group(&child, Signal::TERM);
            if !process::ended_within(&mut child, Duration::from_secs(20)) {
                eprintln!("{} did not stop within 20 s of SIGTERM", self.kind.name());
            }
            process::kill_group(&mut child);
        }
    }

    /// SIGKILL: a power cut.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::kill_group(&mut child);
        }
    }

    /// More accounts: user, host, password. One that is there already keeps its password.
    pub fn add_users<'a>(&self, users: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Result<()> {
        for (user, host, password) in users {
            match self.kind {
                Kind::Ejabberd => self.ejabberd_register(user, host, password)?,
                Kind::Prosody13 | Kind::Prosody012 => {
                    let script = self.dir().join("scripts/prosody.sh").display().to_string();
                    let command = self.command(&["bash", &script, "register", user, host, password])?;
                    run_to_end(command, "prosodyctl register")?;
                }
            }
        }
        Ok(())
    }

    /// A link with which somebody may register on this host (XEP-0445). Prosody 13 only.
    pub fn invitation(&self, host: &str) -> Result<String> {
        let script = self.dir().join("scripts/prosody.sh").display().to_string();
        let said = self.dir().join("invitation");
        let output = fs::File::create(&said).map_err(Error::io("making a file for the invitation"))?;
        let mut command = self.command(&["bash", &script, "invite", host])?;
        command.stdin(Stdio::null()).stdout(output);
        let what = "prosodyctl shell invite create_account";
        let status = spawn(command).and_then(|mut child| child.wait()).map_err(Error::io(what))?;
        let said = fs::read_to_string(&said).unwrap_or_default();
        match said.split_whitespace().find(|word| word.starts_with("xmpp:")) {
            Some(link) if status.success() => Ok(link.to_owned()),
            _ => Err(Error::Failed { what: what.into(), said }),
        }
    }

    fn command(&self, program: &[&str]) -> Result<std::process::Command> {
        let mut variables = vec![
            ("WHIMBREL_DIR", self.dir().display().to_string()),
            ("WHIMBREL_PORT", self.port().to_string()),
            ("WHIMBREL_LOG", if self.options.verbose { "debug" } else { "info" }.to_owned()),
        ];
        if let Some(page) = self.options.mam_page {
            variables.push(("WHIMBREL_MAM_PAGE", page.to_string()));
        }
        if self.options.sql_archive {
            variables.push(("WHIMBREL_ARCHIVE", "sql".to_owned()));
        }
        if let Some(hibernation) = self.options.hibernation {
            variables.push(("WHIMBREL_HIBERNATION", hibernation.as_secs().to_string()));
        }
        if let Some(largest) = self.options.largest {
            variables.push(("WHIMBREL_LARGEST", largest.to_string()));
        }
        self.root.command(self.dir(), &variables, program)
    }

    fn run(&mut self) -> Result<()> {
        let script = match self.kind {
            Kind::Ejabberd => "ejabberd.sh",
            Kind::Prosody13 | Kind::Prosody012 => "prosody.sh",
        };
        let script = self.dir().join("scripts").join(script).display().to_string();
        let said = self.dir().join("output.log");
        let output = fs::File::create(&said).map_err(Error::io("making output.log"))?;
        let errors = output.try_clone().map_err(Error::io("sharing output.log"))?;
        let mut command = self.command(&["bash", &script])?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        self.child = Some(spawn(command).map_err(Error::io(format!("starting {}", self.kind.name())))?);
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let child = self.child.as_mut().expect("run() has just set it");
            if let Ok(Some(status)) = child.try_wait() {
                let said = format!("{}({status})", self.last_words());
                return Err(Error::Failed { what: self.kind.name().into(), said });
            }
            if [self.port(), self.direct_tls_port()].into_iter().all(answers) && self.has_its_accounts() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::Failed {
                    what: format!("starting {}", self.kind.name()),
                    said: self.last_words(),
                });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Prosody's are made before it starts, ejabberd's by itself once it is up.
    fn has_its_accounts(&self) -> bool {
        self.kind != Kind::Ejabberd
            || ACCOUNTS
                .iter()
                .all(|(user, host, password)| self.ejabberd_register(user, host, password).is_ok())
    }

    fn last_words(&self) -> String {
        let end = |path: PathBuf| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(20)..].iter().map(|line| format!("{line}\n")).collect::<String>()
        };
        end(self.dir().join("output.log")) + &end(self.log())
    }

    /// `POST /api/register`. 409 means that the account is there, which is as good.
    fn ejabberd_register(&self, user: &str, host: &str, password: &str) -> Result<()> {
        let body = serde_json::json!({ "user": user, "host": host, "password": password }).to_string();
        let request = format!(
            "POST /api/register HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.first() + 4));
        let ask = || {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = ask().map_err(Error::io("asking ejabberd to register an account"))?;
        match answer.split(' ').nth(1) {
            Some("200" | "409") => Ok(()),
            _ => Err(Error::Failed { what: "registering an account with ejabberd".into(), said: answer }),
        }
    }
}

impl Drop for Server {
    /// Its data goes with it, so there is nothing that it would have to finish.
    fn drop(&mut self) {
        match self.place {
            Place::Ours(_) => self.kill(),
            Place::Given(_) => self.stop(),
        }
    }
}

fn answers(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Duration::from_secs(2)).is_ok()
}
