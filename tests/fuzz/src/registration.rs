//! A new account: a server that asks for anything, and a person who answers whatever form is on the screen.
//!
//! It is a world of the target `negotiation`: an input that begins with `<register xmlns='f'/>` (`starttls`: the stream begins
//! without TLS; `invitation`: its token). `<answers xmlns='f' NAME='…'/>` is the person, who can only answer what was asked.

use std::collections::BTreeMap;

use minidom::Element;
use whimbrel_engine::Input;
use whimbrel_proto::{
    negotiation::{
        Event, Out, StreamHeader, Tls,
        registration::{Form, Progress, Registration, Step},
    },
    ns,
};

use crate::{negotiation::written, world::ACTIONS};

const DOMAIN: &str = "montague.lit";
/// What happens between two answers of the person's: what the machine allows, and what ends it.
const MOST: u32 = 25;

/// Plays it to its end, or to the end of what is said. Returns whether there is an account.
pub(crate) fn play(how: &Element, inputs: impl Iterator<Item = Input>) -> bool {
    let direct = how.attr("starttls").is_none();
    let invitation = how.attr("invitation").map(str::to_owned);
    let mut play = Play { encrypted: direct, ..Play::default() };
    let mut step = Registration::start(DOMAIN, invitation, direct.then(Tls::default));
    let mut events = 0;
    for input in inputs {
        let Some(machine) = play.sees(step) else { return play.done };
        let header = StreamHeader { from: Some(DOMAIN.into()), id: None };
        let element;
        let event = match input {
            Input::Element { element, .. } if element.is("answers", ACTIONS) && play.thinks => {
                events = 0;
                step = play.answers(*machine, &element);
                continue;
            }
            Input::Element { element, .. } if element.is("secured", ACTIONS) && play.starting_tls => {
                (play.encrypted, play.starting_tls) = (true, false);
                Event::Secured(Tls::default())
            }
            Input::Element { element: read, .. } if !read.has_ns(ACTIONS) => {
                element = read;
                Event::Element(&element)
            }
            Input::Header { .. } => Event::Header(&header),
            _ => {
                step = Step { outs: Vec::new(), progress: Progress::Going(machine) };
                continue;
            }
        };
        events += 1;
        assert!(events <= MOST, "a registration without end");
        step = machine.handle(event);
    }
    play.sees(step);
    play.done
}

#[derive(Default)]
struct Play {
    encrypted: bool,
    starting_tls: bool,
    /// Something was answered.
    submitted: bool,
    /// A person looks at the screen.
    thinks: bool,
    screen: Option<Form>,
    done: bool,
}

impl Play {
    /// What is written is for a stream that is encrypted, and what is shown fits on a screen. `None`: it is over.
    fn sees(&mut self, step: Step) -> Option<Box<Registration>> {
        for out in &step.outs {
            match out {
                Out::StartTls => self.starting_tls = true,
                Out::Restart => {}
                Out::Write(bytes) => self.reads(bytes),
            }
        }
        match step.progress {
            Progress::Going(machine) => Some(machine),
            Progress::Asked(machine, form) => {
                assert!(self.encrypted, "asked by nobody knows whom");
                fits(&form);
                (self.thinks, self.screen) = (true, Some(form));
                Some(machine)
            }
            Progress::Refused(machine, refusal) => {
                assert!(self.submitted, "nobody has said anything that could be refused");
                assert!(refusal.condition.len() <= 4_096 && !refusal.condition.is_empty(), "{refusal:?}");
                self.thinks = true;
                Some(machine)
            }
            Progress::Done => {
                assert!(self.encrypted && self.submitted && !self.thinks, "an account for nothing");
                self.done = true;
                None
            }
            Progress::Failed(failure) => {
                drop(failure.to_string());
                None
            }
        }
    }

    fn reads(&self, bytes: &[u8]) {
        for element in written(bytes).children() {
            assert!(self.encrypted || element.is("starttls", ns::TLS), "before TLS nothing is said but that");
        }
    }

    /// The attributes are the answers.
    fn answers(&mut self, machine: Registration, said: &Element) -> Step {
        let form = self.screen.as_ref().expect("nobody thinks without a form");
        let answers: BTreeMap<String, String> =
            said.attrs().iter().map(|((_, name), value)| (name.to_string(), value.clone())).collect();
        for name in form.missing(&answers) {
            assert!(form.fields.iter().any(|field| field.required && field.name == name));
        }
        (self.submitted, self.thinks) = (true, false);
        machine.submit(form, &answers)
    }
}

fn fits(form: &Form) {
    assert!(form.fields.len() <= 64, "{} fields", form.fields.len());
    for field in &form.fields {
        assert!(field.choices.len() <= 64 && field.media.len() <= 4, "{field:?}");
        let texts = [Some(&field.name), field.label.as_ref(), Some(&field.kind), field.value.as_ref()];
        assert!(texts.into_iter().flatten().all(|text| text.len() <= 4_096), "{field:?}");
        assert!(field.media.iter().all(|media| media.bytes.len() <= 200_000), "{field:?}");
    }
}
