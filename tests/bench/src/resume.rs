//! Back online after a cut: the link breaks, the phone notices and resumes its session.
//!
//! The time runs from the new TCP connection to "online"; round trips are the client's flights after TLS, counted by the
//! link, where one takes 100 ms; bytes are TCP's payload both ways until online, TLS included.

use std::time::Duration;

use clap::Args;
use interop::{InFlight, Kind, Link, Options, Server};

use crate::{
    Result,
    children::Child,
    figures::{Report, median},
};

/// How long each session lasts.
const LASTED: Duration = Duration::from_millis(1_500);
/// Long enough for flights to be told apart.
const ROUND_TRIP: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(crate) struct Arguments {
    /// How often it is cut, for each of the two round-trip times
    #[arg(long, default_value_t = 10)]
    samples: usize,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("resume");
    let server = Server::start(Kind::Prosody13, Options::default())?;
    let link = Link::to(server.direct_tls_port())?;
    let data = crate::data_dir("resume")?.join("phone");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let (data, port, ca) =
        (data.display().to_string(), link.port().to_string(), server.ca().display().to_string());
    let phone = ["phone", "--data", &data, "--account", "alice@a.test"];
    let sign_in = ["sign-in", "--password", "secret-a", "--port", &port, "--ca", &ca];
    Child::start(&[&phone[..], &sign_in].concat())?.end()?;
    let mut child = Child::start(&[&phone[..], &["stay"]].concat())?;
    child.hear("online")?;

    let (mut resumed, mut ms) = (0, [Vec::new(), Vec::new()]);
    let (mut round_trips, mut up, mut down) = (Vec::new(), Vec::new(), Vec::new());
    for (times, round_trip) in ms.iter_mut().zip([Duration::ZERO, ROUND_TRIP]) {
        link.delay(round_trip / 2);
        for _ in 0..arguments.samples {
            // A session that lasted no second is tried again after a while only.
            std::thread::sleep(LASTED);
            link.cut(InFlight::Dropped);
            let (at, online) = child.hear("online")?;
            let connection = link.connection_at(at).ok_or("it did not come over the link")?;
            times.push((at - connection.opened).as_secs_f64() * 1e3);
            resumed += usize::from(online["resumed"] == true);
            if round_trip > Duration::ZERO {
                round_trips.push(connection.round_trips(at, round_trip) as f64);
            }
            up.push(connection.up as f64);
            down.push(connection.down as f64);
        }
    }
    let [at_once, delayed] = ms;
    report.figure("ms", median(at_once), "ms");
    report.figure("ms_at_100ms", median(delayed), "ms");
    report.figure("round_trips", median(round_trips), "");
    report.figure("bytes_up", median(up), "B");
    report.figure("bytes_down", median(down), "B");
    report.figure("resumed", resumed as f64 * 100.0 / (2 * arguments.samples) as f64, "%");
    child.kill()
}
