//! What the suites in Kotlin and Swift play on: a Prosody 13, a link to it that can be cut, and a door to ask for things by.
//!
//! Through the door, a TCP port, come lines, and each is answered by `ok` or `error WHY`:
//! - `account NAME`: registers `NAME@a.test` with the password `secret`.
//! - `say NAME ADDRESS COUNT`: `NAME@a.test` signs in somewhere else and says `1` to `COUNT`; answered when the server has taken
//!   them.
//! - `cut`: ends what is open over the link. `stall`, `flow`: swallows all that both sides send, or no longer. `refuse`, `accept`:
//!   new connections over the link are reset, or no longer.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread,
};

use interop::{InFlight, Kind, Link, Options, Server};

use crate::{Result, cargo};

pub(crate) struct Stage {
    shared: Arc<Shared>,
    door: u16,
}

struct Shared {
    server: Server,
    link: Link,
    bench: PathBuf,
}

impl Stage {
    pub(crate) fn open() -> Result<Self> {
        let bench = cargo::binary("bench")?;
        let server = Server::start(Kind::Prosody13, Options::default())?;
        let link = Link::to(server.direct_tls_port())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let door = listener.local_addr()?.port();
        let shared = Arc::new(Shared { server, link, bench });
        thread::spawn({
            let shared = Arc::clone(&shared);
            // It ends with the process.
            move || {
                for visitor in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || serve(&shared, visitor));
                }
            }
        });
        Ok(Self { shared, door })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.shared.server
    }

    /// Name and value of what a suite has to know, but for the certificate.
    pub(crate) fn ports(&self) -> [(&'static str, u16); 3] {
        [("port", self.shared.server.port()), ("link", self.shared.link.port()), ("door", self.door)]
    }
}

fn serve(shared: &Shared, mut visitor: TcpStream) {
    let Ok(reading) = visitor.try_clone() else { return };
    for line in BufReader::new(reading).lines() {
        let Ok(line) = line else { return };
        let answer = match shared.obey(&line) {
            Ok(()) => "ok\n".to_owned(),
            Err(error) => format!("error {}\n", error.to_string().replace('\n', " ")),
        };
        if visitor.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

impl Shared {
    fn obey(&self, line: &str) -> Result<()> {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["account", name] => self.server.add_users([(name, "a.test", "secret")])?,
            ["say", name, to, count] => {
                let mut bench = interop::leashed(&self.bench);
                bench.args(["child", "say", "--password", "secret", "--to", to, "--count", count]);
                bench.args(["--account".to_owned(), format!("{name}@a.test")]);
                bench.args(["--port".to_owned(), self.server.direct_tls_port().to_string()]);
                bench.arg("--ca").arg(self.server.ca());
                cargo::run(&mut bench)?;
            }
            ["cut"] => self.link.cut(InFlight::Dropped),
            ["stall"] => self.link.stall(true),
            ["flow"] => self.link.stall(false),
            ["refuse"] => self.link.refuse(true),
            ["accept"] => self.link.refuse(false),
            _ => return Err(format!("not understood: {line}").into()),
        }
        Ok(())
    }
}
