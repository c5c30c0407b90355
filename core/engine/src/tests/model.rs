//! A server with a memory, links that lose what is under way in either direction, kills, refusals: whatever happens, every
//! message is there once, and in the order of its sender.

use rand::{Rng, seq::IndexedRandom};

use super::*;

/// The server's side of the session, and what it owes.
#[derive(Default)]
struct Model {
    /// Stanzas to the account in this session, from the first.
    queue: Vec<String>,
    /// Whether what it writes arrives.
    heard: bool,
    /// Whether there is a session to write to.
    session: bool,
    juliet: u32,
    romeo: Vec<ItemId>,
    archived: u32,
}

impl Model {
    /// Reads what the account wrote: messages are archived, questions answered.
    fn works(&mut self, world: &mut World) {
        let mut guard = 0;
        while let Some(element) = world.wrote.pop_front() {
            if element.name() == "message" && body(&element).is_some() {
                self.takes(world, &element);
            } else if element.name() == "iq" && element.attr("type") != Some("result") {
                for answer in world.server.answers(&element) {
                    self.writes(world, answer);
                }
            } else if element.is("r", ns::SM) && self.heard && world.link.is_some() {
                world.acknowledge();
            }
            guard += 1;
            assert!(guard < 5_000, "never quiet");
        }
    }

    /// What has reached the server is archived, even if the link dies before it can answer.
    fn reads(&mut self, world: &mut World) {
        let wrote = std::mem::take(&mut world.wrote);
        for element in wrote {
            if element.name() == "message" && body(&element).is_some() {
                self.takes(world, &element);
            } else if element.name() == "iq" && element.attr("type") != Some("result") && self.session {
                self.queue.extend(world.server.answers(&element));
            }
        }
    }

    fn takes(&mut self, world: &mut World, element: &Element) {
        let id = element.attr("id").unwrap();
        let content: String = element.children().map(String::from).collect();
        self.archive(
            world,
            format!("<message xmlns='jabber:client' type='chat' from='{OWN}/phone' to='{JULIET}' id='{id}'>{content}</message>"),
        );
    }

    fn archive(&mut self, world: &mut World, message: String) -> String {
        self.archived += 1;
        let id = format!("m{}", self.archived);
        world.server.archive.push(Archived { id: id.clone(), at: world.now.wall, message });
        id
    }

    fn writes(&mut self, world: &mut World, xml: String) {
        if self.session {
            if self.heard && world.link.is_some() {
                world.gets(&xml);
            }
            self.queue.push(xml);
        }
    }

    fn juliet_says(&mut self, world: &mut World) {
        let n = self.juliet;
        self.juliet += 1;
        let message = format!(
            "<message xmlns='jabber:client' type='chat' from='{JULIET}/balcony' to='{OWN}' id='j{n}'><body>{n}</body></message>"
        );
        let id = self.archive(world, message.clone());
        let stanza_id = format!("</body><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='{id}'/>");
        self.writes(world, message.replace("</body>", &stanza_id));
    }

    fn comes_back(&mut self, world: &mut World, resume: Resume) {
        self.reads(world);
        world.server.hears = true;
        self.heard = true;
        let sessions = world.server.sessions;
        // What the account writes behind its login is read afterwards.
        world.reconnect(resume);
        if world.server.sessions == sessions {
            let from = world.server.resumed_from as usize;
            assert!(from <= self.queue.len(), "acknowledged what was never sent");
            for xml in &self.queue[from..] {
                if world.link.is_some() {
                    world.gets(xml);
                }
            }
        } else {
            self.queue.clear();
            self.session = true;
        }
    }
}

fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    world.server.page = [3, 10, 50][seed as usize % 3];
    let mut model = Model::default();
    model.comes_back(&mut world, Resume::Refuse);
    model.works(&mut world);
    for _ in 0..120 {
        match rng.random_range(0..12) {
            0..4 => {
                let text = format!("r{}", model.romeo.len());
                let id = world.says(&text);
                model.romeo.push(id);
            }
            4..7 => model.juliet_says(&mut world),
            7 => {
                // From here to the end of this link bytes are lost, in one direction or both.
                world.server.hears &= rng.random::<bool>();
                model.heard &= rng.random::<bool>();
            }
            8 if rng.random_ratio(1, 3) => {
                model.reads(&mut world);
                world.kill();
            }
            8 | 9 => {
                model.reads(&mut world);
                world.cut();
            }
            10 => world.pass(rng.random_range(0..20_000)),
            _ => {}
        }
        if world.link.is_some() && rng.random_ratio(2, 3) {
            model.works(&mut world);
        }
        if world.hung_up {
            world.hung_up = false;
        }
        if world.link.is_none() && rng.random_ratio(1, 2) {
            let how = *[Resume::Accept, Resume::Accept, Resume::Refuse, Resume::RefuseWithH]
                .choose(&mut rng)
                .unwrap();
            model.comes_back(&mut world, how);
        }
    }
    // Who looks has the archive compared soon, which nobody answers any more below.
    world.turn(vec![Input::Foreground(false)]);
    for _ in 0..4 {
        model.reads(&mut world);
        world.cut();
        model.comes_back(&mut world, Resume::Accept);
        model.works(&mut world);
        world.acknowledge();
        model.works(&mut world);
        world.pass(61_000);
    }
    let seen = world.sees();
    let hers: Vec<&str> = seen.iter().filter(|text| !text.starts_with('>')).map(String::as_str).collect();
    let expected: Vec<String> = (0..model.juliet).map(|n| n.to_string()).collect();
    assert_eq!(hers, expected, "hers, seed {seed}");
    let ours: Vec<&str> = seen.iter().filter_map(|text| text.strip_prefix("> ")).collect();
    let expected: Vec<String> = (0..model.romeo.len()).map(|n| format!("r{n}")).collect();
    assert_eq!(ours, expected, "ours, seed {seed}");
    // On the server: once, and in order.
    let archived: Vec<String> = world
        .server
        .archive
        .iter()
        .filter_map(|entry| body(&entry.message.parse().unwrap()).filter(|text| text.starts_with('r')))
        .collect();
    assert_eq!(archived, expected, "sent, seed {seed}");
    for id in &model.romeo {
        assert_eq!(world.state(id), SendState::Sent, "seed {seed}");
    }
    assert_eq!(world.count("SELECT count(*) FROM outbox"), 0, "seed {seed}");
    assert_eq!(world.count("SELECT count(*) FROM gap"), 0, "seed {seed}");
}

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_out_of_order() {
    for seed in 0..12 {
        run(seed);
    }
}
