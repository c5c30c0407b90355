//! Links: elements under way in both directions, latency, and cuts.

use std::collections::VecDeque;

use minidom::{Element, Node};
use rand::Rng;
use whimbrel_engine::{Drained, Input, LinkFailure, LinkId, StreamHeader, Tls};
use whimbrel_proto::ns;

use super::{Happening, World};
use crate::{
    judge::Failure,
    server::{Conn, Down, Up},
};

/// Stanzas that the client takes at once, at most.
const BATCH: usize = 50;

/// A connection between a device and the server.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) device: usize,
    pub(super) link: LinkId,
    up: VecDeque<(u64, Up)>,
    down: VecDeque<(u64, Down)>,
    /// Nothing new is carried.
    cut: bool,
    last_up: u64,
    last_down: u64,
    /// The server is busy with what it has read, and reads on then.
    busy_until: u64,
}

impl World {
    /// A device wants a connection.
    pub(super) fn connect(&mut self, device: usize, link: LinkId) {
        self.leave(device);
        self.devices[device].line = Some((link, None));
        let started = self.devices[device].started;
        let time = self.now + self.latency() * 3;
        self.at(time, Happening::Connected { device, started, link });
    }

    pub(super) fn is_connected(&mut self, device: usize, link: LinkId) {
        if self.devices[device].line != Some((link, None)) {
            return;
        }
        let unreachable =
            self.devices[device].no_network_until > self.now || self.server_down_until > self.now;
        if unreachable {
            self.devices[device].line = None;
            return self.turn(
                device,
                vec![Input::LinkLost { link, why: LinkFailure::Network("unreachable".into()) }],
            );
        }
        self.next_conn += 1;
        let conn = Conn(self.next_conn);
        self.devices[device].line = Some((link, Some(conn)));
        self.lines.insert(
            conn,
            Line {
                device,
                link,
                up: VecDeque::new(),
                down: VecDeque::new(),
                cut: false,
                last_up: self.now,
                last_down: self.now,
                busy_until: self.now,
            },
        );
        self.server.connected(self.now, conn, device, self.devices[device].account);
        self.turn(device, vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
    }

    fn latency(&mut self) -> u64 {
        let base = if self.settling { 5 } else { self.script.latency };
        base + self.rng.random_range(0..=base / 4)
    }

    /// Whether what it writes arrives, and what is written to it.
    pub(crate) fn is_connected_both_ways(&self, device: usize) -> bool {
        let line = self.devices[device].line.and_then(|(_, conn)| self.lines.get(&conn?));
        line.is_some_and(|line| !line.cut)
    }

    /// Bytes of a device go up.
    pub(super) fn sends(&mut self, device: usize, link: LinkId, bytes: &[u8]) {
        let Some((current, Some(conn))) = self.devices[device].line else { return };
        if current != link {
            return;
        }
        let arrives = self.now + self.latency();
        let Some(line) = self.lines.get_mut(&conn).filter(|line| !line.cut) else { return };
        line.last_up = line.last_up.max(arrives);
        let time = line.last_up;
        line.up.extend(read(bytes).into_iter().map(|up| (time, up)));
        self.at(time, Happening::Up(conn));
    }

    pub(super) fn arrives_above(&mut self, conn: Conn) {
        while let Some(line) = self.lines.get_mut(&conn)
            && line.busy_until <= self.now
            && line.up.front().is_some_and(|(time, _)| *time <= self.now)
            && let Some((_, up)) = line.up.pop_front()
        {
            let reads_on = self.now + self.server.takes(&up);
            if reads_on > self.now {
                line.busy_until = reads_on;
                self.at(reads_on, Happening::Up(conn));
            }
            self.server.receives(self.now, conn, &up);
        }
        self.carry();
    }

    /// What the server has written goes down.
    pub(super) fn carry(&mut self) {
        for (conn, down) in std::mem::take(&mut self.server.out) {
            let arrives = self.now + self.latency();
            let Some(line) = self.lines.get_mut(&conn).filter(|line| !line.cut) else { continue };
            line.last_down = line.last_down.max(arrives);
            let time = line.last_down;
            line.down.push_back((time, down));
            self.at(time, Happening::Down(conn));
        }
        if let Some((device, text)) = self.server.sent_again.take() {
            self.fail(Failure::SentAgain { device, text });
        }
        if let Some((device, hash)) = self.server.named_too_early.take() {
            self.fail(Failure::NamedTooEarly { device, hash });
        }
        for acknowledged in std::mem::take(&mut self.server.acknowledged) {
            let device = &mut self.devices[acknowledged.device];
            device.acknowledged.insert((acknowledged.with, acknowledged.text));
        }
    }

    pub(super) fn arrives_below(&mut self, conn: Conn) {
        loop {
            let mut inputs = Vec::new();
            let mut closed = false;
            let Some(line) = self.lines.get_mut(&conn) else { return };
            let (device, link) = (line.device, line.link);
            if self.devices[device].line != Some((link, Some(conn))) {
                return;
            }
            while inputs.len() < BATCH
                && line.down.front().is_some_and(|(time, _)| *time <= self.now)
                && let Some((_, down)) = line.down.pop_front()
            {
                let decides = matches!(&down, Down::Element(element) if element.name() == "success");
                match down {
                    Down::Header => {
                        inputs.push(Input::Header { link, header: StreamHeader { from: None, id: None } });
                    }
                    Down::Element(element) => inputs.push(input(link, element)),
                    Down::Closed => {
                        closed = true;
                        inputs.push(Input::LinkLost {
                            link,
                            why: LinkFailure::Network("the server hung up".into()),
                        });
                    }
                }
                if decides {
                    break;
                }
            }
            if inputs.is_empty() {
                return;
            }
            if closed {
                self.lines.remove(&conn);
                self.devices[device].line = None;
            }
            self.turn(device, inputs);
        }
    }

    /// Cuts the link of a device. `client`, `server`: when they hear of it. `late`: by how much what goes up is.
    pub(super) fn cut(
        &mut self,
        device: usize,
        keep: (usize, usize),
        client: Option<u64>,
        server: Option<u64>,
        late: u64,
    ) {
        let Some((link, conn)) = self.devices[device].line else { return };
        let started = self.devices[device].started;
        let Some(conn) = conn else {
            // It was not up yet.
            self.devices[device].line = None;
            let time = self.now + client.unwrap_or(30_000);
            return self.at(time, Happening::Lost { device, started, link });
        };
        let Some(line) = self.lines.get_mut(&conn).filter(|line| !line.cut) else { return };
        self.report.cuts += 1;
        line.cut = true;
        line.up.truncate(keep.0);
        line.up.iter_mut().for_each(|(time, _)| *time += late);
        let arrivals: Vec<u64> = line.up.iter().map(|(time, _)| *time).filter(|_| late > 0).collect();
        let buffered = line.down.split_off(keep.1.min(line.down.len())).into_iter();
        let buffered: Vec<Down> = buffered.map(|(_, down)| down).take(6).collect();
        let last_down = line.down.back().map_or(self.now, |(time, _)| *time);
        let last_up = line.up.back().map_or(self.now, |(time, _)| *time);
        for time in arrivals {
            self.at(time, Happening::Up(conn));
        }
        if let Some(client) = client {
            let hears = last_down.max(self.now + client);
            self.at(hears, Happening::Lost { device, started, link });
            self.leaves_behind(device, link, buffered, hears);
        }
        if let Some(server) = server {
            self.at(last_up.max(self.now + server), Happening::LostAbove(conn));
        }
    }

    pub(super) fn hears_of_the_cut(&mut self, device: usize, link: LinkId) {
        match self.devices[device].line {
            Some((current, _)) if current == link => self.devices[device].line = None,
            // An attempt that came to nothing.
            None => {}
            Some(_) => return,
        }
        self.turn(device, vec![Input::LinkLost { link, why: LinkFailure::Network("cut".into()) }]);
    }

    /// The device closes its connection: what is under way to the server still arrives.
    pub(super) fn leave(&mut self, device: usize) {
        let Some((link, Some(conn))) = self.devices[device].line.take() else { return };
        let latency = self.latency();
        let Some(line) = self.lines.get_mut(&conn) else { return };
        let buffered: Vec<Down> = line.down.drain(..).map(|(_, down)| down).take(6).collect();
        if !line.cut {
            line.cut = true;
            let time = line.last_up.max(self.now) + latency;
            self.at(time, Happening::LostAbove(conn));
        }
        self.leaves_behind(device, link, buffered, self.now);
    }

    /// The thread that reads may be slow to hear that a link is gone, and hand over what it still had.
    fn leaves_behind(&mut self, device: usize, link: LinkId, buffered: Vec<Down>, from: u64) {
        let (started, latency) = (self.devices[device].started, self.latency());
        for down in buffered {
            let Down::Element(element) = down else { continue };
            let time = from + self.rng.random_range(0..=latency * 40);
            let input = Box::new(input(link, element));
            self.at(time, Happening::Leftover { device, started, input });
        }
    }

    /// The stream is closed properly.
    pub(super) fn closes(&mut self, device: usize, link: LinkId) {
        self.sends(device, link, b"</stream:stream>");
        self.leave(device);
    }

    /// A device that has died leaves its connection without a word.
    pub(super) fn abandons(&mut self, device: usize, power: bool) {
        let Some((_, Some(conn))) = self.devices[device].line.take() else { return };
        let Some(line) = self.lines.get_mut(&conn) else { return };
        line.down.clear();
        if !line.cut {
            line.cut = true;
            // The system closes the sockets of a process; nobody closes those of a device without power.
            let time = line.last_up.max(self.now) + if power { 600_000 } else { 50 };
            self.at(time, Happening::LostAbove(conn));
        }
    }
}

/// In a stanza: it is too large to be built.
pub(super) const TOO_LARGE: &str = "<too-large xmlns='urn:whimbrel:sim'/>";

fn input(link: LinkId, element: Element) -> Input {
    if !element.has_child("too-large", "urn:whimbrel:sim") {
        return Input::Element { link, element };
    }
    let attribute = |name: &str| element.attr(name).map(str::to_owned);
    let drained = Drained {
        name: element.name().to_owned(),
        from: attribute("from"),
        to: attribute("to"),
        id: attribute("id"),
        kind: attribute("type"),
        archived: None,
        stanza_ids: Vec::new(),
        size: 2 << 20,
        why: "too large".into(),
        head: Vec::new(),
    };
    Input::TooMuch { link, drained }
}

/// What a device has written, as the server reads it.
fn read(bytes: &[u8]) -> Vec<Up> {
    let mut text = std::str::from_utf8(bytes).expect("we write UTF-8");
    let mut all = Vec::new();
    if let Some(at) = text.find("<stream:stream") {
        all.push(Up::Header);
        text = &text[at + text[at..].find('>').map_or(0, |end| end + 1)..];
    }
    let footer = text.ends_with("</stream:stream>");
    let text = text.strip_suffix("</stream:stream>").unwrap_or(text);
    if !text.is_empty() {
        let mut wrapped: Element = format!("<x xmlns='{}'>{text}</x>", ns::JABBER_CLIENT)
            .parse()
            .unwrap_or_else(|error| panic!("we write XML: {error}: {text}"));
        all.extend(wrapped.take_nodes().into_iter().filter_map(Node::into_element).map(Up::Element));
    }
    all.extend(footer.then_some(Up::Footer));
    all
}
