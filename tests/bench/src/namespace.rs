//! A phone on a wire of its own: a console in a network namespace, and what its interface counts.
//!
//! The namespace and its pair of interfaces are made here and go with this process's [`Namespace`]. The server stays on
//! loopback; a relay listens on the host's end of the wire. Neighbours are fixed and IPv6 is off, so that nothing but the
//! connection is counted: TCP with all of its acknowledgements, and TLS.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use interop::{Console, Kind, Options, Phone, Server, console_binary};
use serde_json::json;

use crate::{Result, figures::Report};

/// Nothing here takes longer, or it is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

/// Two phones on the same server: one is left alone in the background, one asks its link every minute.
pub(crate) fn run(minutes: u64, report: &mut Report) -> Result<()> {
    let server = Server::start(Kind::Prosody13, Options::default())?;
    let dir = crate::data_dir("idle_hour")?;
    let ours = Wired::start(&dir, &server, 0, "alice@a.test", "secret-a")?;
    let pinger = Wired::start(&dir, &server, 1, "bob@a.test", "secret-b")?;
    eprintln!("Two phones do nothing for {minutes} minutes…");
    let (before, pinger_before) = (ours.namespace.counters()?, pinger.namespace.counters()?);
    let began = Instant::now();
    for minute in 1..=minutes {
        thread::sleep((MINUTE * minute as u32).saturating_sub(began.elapsed() + Duration::from_secs(1)));
        pinger.console.request("woke", json!({}), PATIENCE)?;
        thread::sleep((MINUTE * minute as u32).saturating_sub(began.elapsed()));
    }
    let (after, pinger_after) = (ours.namespace.counters()?, pinger.namespace.counters()?);
    for (who, before, after) in [("", before, after), ("pinger_", pinger_before, pinger_after)] {
        for (metric, unit, count) in [
            ("packets_up", "", |counters: Counters| counters.packets_up),
            ("packets_down", "", |counters: Counters| counters.packets_down),
            ("bytes_up", "B", |counters: Counters| counters.bytes_up),
            ("bytes_down", "B", |counters: Counters| counters.bytes_down),
        ] as [(&str, &str, fn(Counters) -> u64); 4]
        {
            let value = count(after) - count(before);
            report.figure(format!("{who}wire_{metric}_a_minute"), value as f64 / minutes as f64, unit);
        }
    }
    for phone in [&ours, &pinger] {
        let went = phone.console.take_events().into_iter().find(|event| event.name() == "offline");
        if let Some(went) = went {
            return Err(format!("a phone went offline: {}", went.body).into());
        }
    }
    // And it is still reachable.
    let text = "Wherefore art thou";
    pinger.console.send_message("alice@a.test", &uuid::Uuid::new_v4().to_string(), text, PATIENCE)?;
    ours.console.wait_message(text, PATIENCE)?;
    Ok(())
}

/// A console in a namespace of its own, online and caught up, in the background.
struct Wired {
    console: Console,
    namespace: Namespace,
}

impl Wired {
    fn start(dir: &Path, server: &Server, number: u8, account: &str, password: &str) -> Result<Wired> {
        let namespace = Namespace::new(number)?;
        let port = namespace.relay(server.port())?;
        let data = dir.join(account);
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let mut phone = Phone::new(&data, account, password)
            .trusting(server.ca())
            .running(namespace.enter(&data, &console_binary()?)?);
        phone.server = Some(format!("{}:{port}", namespace.host()));
        let console = Console::start(&phone)?;
        console.wait_online(PATIENCE)?;
        console.request("sync", json!({ "timeout_ms": 50_000 }), PATIENCE)?;
        console.request("foreground", json!({ "on": false }), PATIENCE)?;
        console.request("sync", json!({ "timeout_ms": 50_000 }), PATIENCE)?;
        // The last acknowledgements of the login.
        thread::sleep(Duration::from_secs(2));
        Ok(Wired { console, namespace })
    }
}

/// What an interface has counted, as seen from within.
#[derive(Clone, Copy)]
struct Counters {
    packets_up: u64,
    packets_down: u64,
    bytes_up: u64,
    bytes_down: u64,
}

/// A network namespace and the wire to it. Both are gone when it is dropped.
struct Namespace {
    name: String,
    outside: String,
    number: u8,
}

impl Namespace {
    fn new(number: u8) -> Result<Namespace> {
        forget_the_dead()?;
        let pid = std::process::id();
        let this =
            Namespace { name: format!("idle-{pid}-{number}"), outside: format!("i{pid}o{number}"), number };
        let inside = format!("i{pid}i{number}");
        let (name, outside) = (&this.name, &this.outside);
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {outside} type veth peer name {inside}"))?;
        ip(&format!("link set {inside} netns {name}"))?;
        no_ipv6(None, outside)?;
        no_ipv6(Some(name), &inside)?;
        ip(&format!("addr add {}/30 dev {outside}", this.host()))?;
        ip(&format!("link set {outside} up"))?;
        ip(&format!("-n {name} addr add {}/30 dev {inside}", this.guest()))?;
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("-n {name} link set {inside} up"))?;
        // Who is where is known: nobody asks for it while packets are counted.
        let (ours, theirs) = (address(None, outside)?, address(Some(name), &inside)?);
        ip(&format!("neigh replace {} lladdr {theirs} dev {outside} nud permanent", this.guest()))?;
        ip(&format!("-n {name} neigh replace {} lladdr {ours} dev {inside} nud permanent", this.host()))?;
        Ok(this)
    }

    /// Our end of the wire. What is meant for tests of networks only (RFC 2544) is nobody's address on this machine.
    fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 1)
    }

    fn guest(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 2)
    }

    /// Listens on our end for a server on loopback. On which port.
    fn relay(&self, server: u16) -> Result<u16> {
        let listener = TcpListener::bind((self.host(), 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for guest in listener.incoming().flatten() {
                let Ok(host) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { continue };
                for stream in [&guest, &host] {
                    let _ = stream.set_nodelay(true);
                }
                let (Ok(guest_too), Ok(host_too)) = (guest.try_clone(), host.try_clone()) else { continue };
                thread::spawn(move || carry(guest, host));
                thread::spawn(move || carry(host_too, guest_too));
            }
        });
        Ok(port)
    }

    /// A script that runs this program inside, with whatever arguments.
    fn enter(&self, dir: &Path, program: &Path) -> Result<PathBuf> {
        let script = dir.join("enter");
        let mut file = fs::File::create(&script)?;
        writeln!(file, "#!/bin/sh\nexec ip netns exec {} '{}' \"$@\"", self.name, program.display())?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }

    fn counters(&self) -> Result<Counters> {
        let read = |what: &str| -> Result<u64> {
            let path = format!("/sys/class/net/{}/statistics/{what}", self.outside);
            Ok(fs::read_to_string(path)?.trim().parse()?)
        };
        // What comes out of the wire here went in there.
        Ok(Counters {
            packets_up: read("rx_packets")?,
            packets_down: read("tx_packets")?,
            bytes_up: read("rx_bytes")?,
            bytes_down: read("tx_bytes")?,
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The pair goes with either end.
        let _ = ip(&format!("link del {}", self.outside));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

/// Whoever was killed has not cleaned up. The wire goes with the namespace.
fn forget_the_dead() -> Result<()> {
    let all = run_to_end(Command::new("ip").args(["netns", "list"]))?;
    for name in all.lines().filter_map(|line| line.split(' ').next()) {
        let pid = name.strip_prefix("idle-").and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            ip(&format!("netns del {name}"))?;
        }
    }
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn no_ipv6(namespace: Option<&str>, interface: &str) -> Result<()> {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    if namespace.is_none() && !Path::new(&path).exists() {
        return Ok(());
    }
    let script = format!("! test -e {path} || echo 1 > {path}");
    match namespace {
        Some(name) => run_to_end(Command::new("ip").args(["netns", "exec", name, "sh", "-c", &script])),
        None => run_to_end(Command::new("sh").args(["-c", &script])),
    }
    .map(drop)
}

/// The link-layer address of an interface.
fn address(namespace: Option<&str>, interface: &str) -> Result<String> {
    let path = format!("/sys/class/net/{interface}/address");
    let said = match namespace {
        Some(name) => run_to_end(Command::new("ip").args(["netns", "exec", name, "cat", &path]))?,
        None => fs::read_to_string(path)?,
    };
    Ok(said.trim().to_owned())
}

fn ip(arguments: &str) -> Result<()> {
    run_to_end(Command::new("ip").args(arguments.split(' '))).map(drop)
}

fn run_to_end(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{command:?}: {} (a network namespace needs root and iproute2)",
        String::from_utf8_lossy(&output.stderr).trim()
    )
    .into())
}
