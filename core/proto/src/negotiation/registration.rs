//! A new account (XEP-0077), perhaps with an invitation (XEP-0445): a stream that is encrypted and never logs in.
//!
//! The server says what it wants to know, as a form of its own or as one of XEP-0004; both are [`Form`] here, and an answer goes
//! back in the kind that was asked in. Between the two a person thinks, and may get it wrong: what was refused can be answered
//! again on the same stream. Nothing is said before TLS, and every state takes a bounded number of elements.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use minidom::Element;

use super::{Event, Failure, Out, PATIENCE, Tls, escaped, stream_error, words};
use crate::{features::Features, ns, write::Tag};

/// Fields of a form, and choices and pictures of one.
const MANY: usize = 64;
/// Of a field, pictures and sounds (a captcha's); and of one of them, in bytes of BASE64. Many may refer to the same.
const FEW_MEDIA: usize = 4;
const LARGEST_MEDIA: usize = 200_000;
/// Of a short text, in bytes.
const LONG: usize = 4_096;

/// The fields that XEP-0077 §3.1 has of its own.
const OWN_FIELDS: [&str; 17] = [
    "username", "nick", "password", "name", "first", "last", "email", "address", "city", "state", "zip",
    "phone", "url", "date", "misc", "text", "key",
];

/// What a server wants to know of who wants an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// What the server says to it, for a person.
    pub instructions: Option<String>,
    /// In its order.
    pub fields: Vec<Field>,
    /// Where else one may register (XEP-0066): nowhere here, if there are no fields.
    pub url: Option<String>,
    is_data_form: bool,
}

/// One question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// How it is named in the answer: `username` and `password` are always called so.
    pub name: String,
    /// What to call it before a person.
    pub label: Option<String>,
    /// How to ask (XEP-0004 §3.3): `text-single`, `text-private`, `boolean`, `list-single`, `hidden`, `fixed`, and so on.
    pub kind: String,
    /// There is no account without an answer.
    pub required: bool,
    /// What it is, if nobody says otherwise.
    pub value: Option<String>,
    /// What it can be: label and value.
    pub choices: Vec<(Option<String>, String)>,
    /// What it is about (XEP-0221), such as a picture of letters (XEP-0158).
    pub media: Vec<Media>,
}

/// Something to look at or to listen to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Its media type, as the server says.
    pub kind: String,
    /// Itself (XEP-0231); empty where it is not here.
    pub bytes: Vec<u8>,
    /// Where it lies.
    pub uri: String,
}

/// The server said no. Another answer may be given on the same stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The condition of RFC 6120 §8.3.3: `conflict`, `not-acceptable`, `item-not-found` for an invitation that does not count.
    pub condition: String,
    /// The server's words.
    pub text: Option<String>,
}

/// What one event led to.
#[derive(Debug)]
pub struct Step {
    /// What to do.
    pub outs: Vec<Out>,
    /// Where it stands.
    pub progress: Progress,
}

/// Where a registration stands.
#[derive(Debug)]
pub enum Progress {
    /// It goes on.
    Going(Box<Registration>),
    /// The server wants to know this.
    Asked(Box<Registration>, Form),
    /// There is an account.
    Done,
    /// Not with this answer.
    Refused(Box<Registration>, Refusal),
    /// The stream is of no more use.
    Failed(Failure),
}

/// A registration under way.
#[derive(Clone, Debug)]
pub struct Registration {
    domain: String,
    invitation: Option<String>,
    state: State,
    events: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plain,
    StartingTls,
    Securing,
    Greeting,
    /// The invitation was shown.
    Invited,
    Asking,
    /// A person thinks.
    Asked,
    Submitted,
}

const ID: &str = "register";

impl Registration {
    /// Begins on a connection that has just been opened. With direct TLS, `tls` is there already. `invitation`: its token.
    pub fn start(domain: &str, invitation: Option<String>, tls: Option<Tls>) -> Step {
        let state = if tls.is_some() { State::Greeting } else { State::Plain };
        let registration = Self { domain: domain.to_owned(), invitation, state, events: 0 };
        let open = Out::Write(registration.open());
        let outs = if tls.is_some() { vec![Out::Restart, open] } else { vec![open] };
        Step { outs, progress: Progress::Going(Box::new(registration)) }
    }

    /// Takes what happened.
    pub fn handle(mut self, event: Event<'_>) -> Step {
        self.events += 1;
        if self.events > PATIENCE {
            return failed(Failure::Nonsense("a registration without end".into()));
        }
        match event {
            Event::Header(_) => self.goes_on(Vec::new()),
            Event::Secured(_) if self.state == State::Securing => {
                self.state = State::Greeting;
                let open = Out::Write(self.open());
                self.goes_on(vec![Out::Restart, open])
            }
            Event::Secured(_) => failed(Failure::Nonsense("TLS twice".into())),
            Event::Element(element) if element.is("error", ns::STREAM) => failed(stream_error(element)),
            Event::Element(element) => self.element(element),
        }
    }

    /// What a person has answered, by the names of the fields.
    pub fn submit(mut self, form: &Form, answers: &BTreeMap<String, String>) -> Step {
        let answer = |field: &Field| answers.get(&field.name).or(field.value.as_ref()).cloned();
        let mut query = Tag::with_ns("query", ns::REGISTER);
        if form.is_data_form {
            let mut x = Tag::with_ns("x", ns::DATA_FORMS).attr("type", "submit");
            for field in form.fields.iter().filter(|field| field.kind != "fixed") {
                if let Some(value) = answer(field) {
                    let value = Tag::new("value").text(value);
                    x = x.child(Tag::new("field").attr("var", &field.name).child(value));
                }
            }
            query = query.child(x);
        } else {
            for name in OWN_FIELDS {
                let value = form.fields.iter().find(|field| field.name == name).and_then(answer);
                query = query.child_opt(value.map(|value| Tag::new(name).text(value)));
            }
        }
        (self.state, self.events) = (State::Submitted, 0);
        let out = self.iq("set", query);
        self.goes_on(vec![out])
    }

    fn element(mut self, element: &Element) -> Step {
        let is_features = element.is("features", ns::STREAM);
        match self.state {
            State::Plain if is_features => {
                if !Features::read(element).starttls {
                    return failed(Failure::Untrusted("the server offers no encryption".into()));
                }
                self.state = State::StartingTls;
                self.goes_on(vec![Out::Write(Tag::with_ns("starttls", ns::TLS).into_bytes())])
            }
            State::StartingTls if element.is("proceed", ns::TLS) => {
                self.state = State::Securing;
                self.goes_on(vec![Out::StartTls])
            }
            State::StartingTls if element.is("failure", ns::TLS) => {
                failed(Failure::Untrusted("the server refused to begin encryption".into()))
            }
            State::Greeting if is_features => {
                let Some(token) = self.invitation.clone() else { return self.ask() };
                // XEP-0445: a link may have been changed on its way; only what the server offers counts.
                if !element.children().any(|child| child.is("register", ns::IBR_TOKEN)) {
                    let text = Some("the server takes no invitations".into());
                    return failed(Failure::Refused { condition: "feature-not-implemented".into(), text });
                }
                self.state = State::Invited;
                let out = self.iq("set", Tag::with_ns("preauth", ns::PREAUTH).attr("token", token));
                self.goes_on(vec![out])
            }
            State::Invited | State::Asking | State::Submitted
                if element.is("iq", ns::JABBER_CLIENT) && element.attr("id") == Some(ID) =>
            {
                self.answered(element)
            }
            // Nothing else is expected, and nothing else is believed.
            _ => self.goes_on(Vec::new()),
        }
    }

    fn answered(mut self, iq: &Element) -> Step {
        if iq.attr("type") != Some("result") {
            let refusal = refusal(iq);
            let was = std::mem::replace(&mut self.state, State::Asked);
            return match was {
                State::Submitted => {
                    Step { outs: Vec::new(), progress: Progress::Refused(Box::new(self), refusal) }
                }
                _ => failed(Failure::Refused { condition: refusal.condition, text: refusal.text }),
            };
        }
        match self.state {
            State::Invited => self.ask(),
            State::Submitted => Step { outs: Vec::new(), progress: Progress::Done },
            _ => {
                let Some(query) = iq.get_child("query", ns::REGISTER) else {
                    return failed(Failure::Nonsense("a form without questions".into()));
                };
                self.state = State::Asked;
                let form = Form::read(query);
                Step { outs: Vec::new(), progress: Progress::Asked(Box::new(self), form) }
            }
        }
    }

    fn ask(mut self) -> Step {
        self.state = State::Asking;
        let out = self.iq("get", Tag::with_ns("query", ns::REGISTER));
        self.goes_on(vec![out])
    }

    fn iq(&self, kind: &str, payload: Tag) -> Out {
        let iq = Tag::new("iq").attr("type", kind).attr("to", &self.domain).attr("id", ID);
        Out::Write(iq.child(payload).into_bytes())
    }

    fn goes_on(self, outs: Vec<Out>) -> Step {
        Step { outs, progress: Progress::Going(Box::new(self)) }
    }

    fn open(&self) -> Vec<u8> {
        format!(
            "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' version='1.0' xml:lang='en' to='{}'>",
            ns::JABBER_CLIENT,
            ns::STREAM,
            escaped(&self.domain),
        )
        .into_bytes()
    }
}

fn failed(failure: Failure) -> Step {
    Step { outs: Vec::new(), progress: Progress::Failed(failure) }
}

fn refusal(iq: &Element) -> Refusal {
    let error = iq.get_child("error", ns::JABBER_CLIENT);
    let said = |is_text: bool| {
        let mut children = error.into_iter().flat_map(Element::children);
        children.find(|child| child.has_ns(ns::STANZA_ERRORS) && (child.name() == "text") == is_text)
    };
    Refusal {
        condition: words(said(false).map_or("undefined-condition", Element::name)),
        text: said(true).map(|text| words(&text.text())),
    }
}

impl Form {
    /// The names of what has to be answered and is not.
    pub fn missing<'a>(&'a self, answers: &'a BTreeMap<String, String>) -> impl Iterator<Item = &'a str> {
        let is_answered = |field: &&Field| {
            answers.get(&field.name).or(field.value.as_ref()).is_some_and(|value| !value.is_empty())
        };
        let required = self.fields.iter().filter(|field| field.required);
        required.filter(move |field| !is_answered(field)).map(|field| field.name.as_str())
    }

    fn read(query: &Element) -> Self {
        let instructions =
            |parent: &Element, ns: &str| parent.get_child("instructions", ns).map(|text| kept(&text.text()));
        let url = query
            .get_child("x", ns::OOB)
            .and_then(|oob| oob.get_child("url", ns::OOB))
            .map(|url| kept(&url.text()));
        if let Some(x) = query.get_child("x", ns::DATA_FORMS) {
            let fields = x.children().filter(|child| child.is("field", ns::DATA_FORMS)).take(MANY);
            let fields = fields.filter_map(|field| Field::read(field, query)).collect();
            let instructions = instructions(x, ns::DATA_FORMS).or_else(|| instructions(query, ns::REGISTER));
            return Self { instructions, fields, url, is_data_form: true };
        }
        let fields =
            query.children().filter(|child| child.has_ns(ns::REGISTER) && OWN_FIELDS.contains(&child.name()));
        let fields = fields.take(MANY).map(|field| {
            let kind = match field.name() {
                "password" => "text-private",
                "key" => "hidden",
                _ => "text-single",
            };
            let value = Some(kept(&field.text())).filter(|value| !value.is_empty());
            let required = kind != "hidden";
            Field { name: field.name().to_owned(), kind: kind.into(), required, value, ..Field::default() }
        });
        Self {
            instructions: instructions(query, ns::REGISTER),
            fields: fields.collect(),
            url,
            is_data_form: false,
        }
    }
}

impl Field {
    fn read(field: &Element, query: &Element) -> Option<Self> {
        let text =
            |child: &Element| child.get_child("value", ns::DATA_FORMS).map(|value| kept(&value.text()));
        let kind = kept(field.attr("type").unwrap_or("text-single"));
        // What is only shown has no name.
        let name = field.attr("var").map(kept).or_else(|| (kind == "fixed").then(String::new))?;
        let choices = field.children().filter(|child| child.is("option", ns::DATA_FORMS)).take(MANY);
        let uris = field.children().filter(|child| child.is("media", ns::MEDIA)).flat_map(Element::children);
        let media = uris.filter(|child| child.is("uri", ns::MEDIA)).take(FEW_MEDIA).map(|uri| {
            let lies = kept(uri.text().trim());
            let cid = lies.strip_prefix("cid:");
            let data = query
                .children()
                .find(|child| child.is("data", ns::BOB) && child.attr("cid") == cid && cid.is_some());
            let bytes = data.filter(|data| data.text().len() <= LARGEST_MEDIA).and_then(|data| {
                let text: String = data.text().split_ascii_whitespace().collect();
                BASE64.decode(text).ok()
            });
            Media {
                kind: kept(uri.attr("type").unwrap_or_default()),
                bytes: bytes.unwrap_or_default(),
                uri: lies,
            }
        });
        Some(Self {
            name,
            label: field.attr("label").map(kept),
            kind,
            required: field.get_child("required", ns::DATA_FORMS).is_some(),
            value: text(field),
            choices: choices
                .filter_map(|choice| Some((choice.attr("label").map(kept), text(choice)?)))
                .collect(),
            media: media.collect(),
        })
    }
}

/// A form is shown and sent back; it may be a megabyte.
fn kept(text: &str) -> String {
    let end = text.floor_char_boundary(LONG);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURES: &str = "<features xmlns='http://etherx.jabber.org/streams'><register xmlns='http://jabber.org/features/iq-register'/><register xmlns='urn:xmpp:ibr-token:0'/></features>";

    fn element(xml: &str) -> Element {
        let wrapped: Element = format!("<x xmlns='jabber:client'>{xml}</x>").parse().unwrap();
        wrapped.children().next().unwrap().clone()
    }

    fn written(step: &Step) -> String {
        let bytes = step.outs.iter().filter_map(|out| match out {
            Out::Write(bytes) => Some(String::from_utf8(bytes.clone()).unwrap()),
            _ => None,
        });
        bytes.collect()
    }

    fn going(step: Step) -> Registration {
        match step.progress {
            Progress::Going(registration) => *registration,
            other => panic!("{other:?}"),
        }
    }

    fn gets(registration: Registration, xml: &str) -> Step {
        registration.handle(Event::Element(&element(xml)))
    }

    fn asked(form: &str) -> (Registration, Form) {
        let start = going(Registration::start("capulet.lit", None, Some(Tls::default())));
        let step = gets(start, FEATURES);
        assert!(written(&step).contains("<iq type='get' to='capulet.lit' id='register'>"));
        let query =
            format!("<iq type='result' id='register'><query xmlns='jabber:iq:register'>{form}</query></iq>");
        match gets(going(step), &query).progress {
            Progress::Asked(registration, form) => (*registration, form),
            other => panic!("{other:?}"),
        }
    }

    fn answers(answers: &[(&str, &str)]) -> BTreeMap<String, String> {
        answers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refused(step: Step) -> (Registration, Refusal) {
        match step.progress {
            Progress::Refused(registration, refusal) => (*registration, refusal),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn form_of_old_is_answered_in_kind_and_again_where_the_name_is_taken() {
        let (registration, form) =
            asked("<instructions>Choose.</instructions><username/><password/><key>k</key><registered2/>");
        assert_eq!(form.instructions.as_deref(), Some("Choose."));
        let names: Vec<&str> = form.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["username", "password", "key"]);
        let given = answers(&[("username", "juliet"), ("other", "x")]);
        assert_eq!(form.missing(&given).collect::<Vec<_>>(), ["password"]);
        let given = answers(&[("username", "juliet"), ("password", "a < b"), ("other", "x")]);
        let step = registration.submit(&form, &given);
        assert!(
            written(&step)
                .contains("<username>juliet</username><password>a &lt; b</password><key>k</key></query>")
        );
        let conflict = "<iq type='error' id='register'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Taken.</text></error></iq>";
        let (registration, refusal) = refused(gets(going(step), conflict));
        assert_eq!((refusal.condition.as_str(), refusal.text.as_deref()), ("conflict", Some("Taken.")));
        let step = registration.submit(&form, &given);
        assert!(matches!(gets(going(step), "<iq type='result' id='register'/>").progress, Progress::Done));
    }

    #[test]
    fn data_form_has_its_hidden_values_sent_back_and_its_picture_as_bytes() {
        let (registration, form) = asked(
            "<instructions>old</instructions><username/><x xmlns='jabber:x:data' type='form'><instructions>Solve.</instructions>
             <field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field><field type='hidden' var='sid'><value>7</value></field>
             <field type='fixed'><value>Hello</value></field>
             <field type='text-single' var='username' label='User'><required/></field><field type='text-private' var='password'><required/></field>
             <field var='ocr'><media xmlns='urn:xmpp:media-element'><uri type='image/png'>cid:sha1+8f35@bob.xmpp.org</uri></media><required/></field></x>
             <data xmlns='urn:xmpp:bob' cid='sha1+8f35@bob.xmpp.org' type='image/png'>aGVs\nbG8=</data>",
        );
        assert_eq!(form.instructions.as_deref(), Some("Solve."));
        let ocr = form.fields.iter().find(|field| field.name == "ocr").unwrap();
        assert_eq!(
            (ocr.media[0].kind.as_str(), ocr.media[0].bytes.as_slice()),
            ("image/png", b"hello".as_slice())
        );
        let given = answers(&[("username", "juliet"), ("password", "p"), ("ocr", "seven")]);
        assert_eq!(form.missing(&given).count(), 0);
        let step = registration.submit(&form, &given);
        let said = written(&step);
        for field in [
            "'FORM_TYPE'><value>jabber:iq:register<",
            "'sid'><value>7<",
            "'ocr'><value>seven<",
            "'username'><value>juliet<",
        ] {
            assert!(said.contains(field), "{field} in {said}");
        }
        assert!(!said.contains("Hello"));
    }

    #[test]
    fn invitation_is_shown_before_the_form_is_asked_for_and_only_where_it_is_offered() {
        let start = || going(Registration::start("capulet.lit", Some("TOKEN".into()), Some(Tls::default())));
        let step = gets(start(), FEATURES);
        assert!(written(&step).contains("<preauth xmlns='urn:xmpp:pars:0' token='TOKEN'/>"));
        let shown = going(step);
        let step = gets(shown.clone(), "<iq type='result' id='register'/>");
        assert!(written(&step).contains("type='get'"));
        let used = "<iq type='error' id='register'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
        let failure = |step: Step| match step.progress {
            Progress::Failed(Failure::Refused { condition, .. }) => condition,
            other => panic!("{other:?}"),
        };
        assert_eq!(failure(gets(shown, used)), "item-not-found");
        let step = gets(start(), "<features xmlns='http://etherx.jabber.org/streams'/>");
        assert_eq!(written(&step), "");
        assert_eq!(failure(step), "feature-not-implemented");
    }

    #[test]
    fn nothing_is_said_before_tls_and_a_registration_ends() {
        let start = || going(Registration::start("capulet.lit", None, None));
        let step = gets(start(), FEATURES);
        assert!(matches!(step.progress, Progress::Failed(Failure::Untrusted(_))), "no encryption");
        let features = "<features xmlns='http://etherx.jabber.org/streams'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><register xmlns='http://jabber.org/features/iq-register'/></features>";
        let step = gets(start(), features);
        assert_eq!(written(&step), "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        let step = gets(going(step), "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        assert_eq!(step.outs, [Out::StartTls]);
        let step = going(step).handle(Event::Secured(Tls::default()));
        assert!(written(&step).contains("<stream:stream") && step.outs[0] == Out::Restart);
        let mut registration = going(step);
        for _ in 0..PATIENCE {
            match gets(registration, "<iq type='result' id='other'/>").progress {
                Progress::Going(next) => registration = *next,
                Progress::Failed(_) => return,
                other => panic!("{other:?}"),
            }
        }
        panic!("it goes on for ever");
    }
}
