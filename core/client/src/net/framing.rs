//! XMPP framing: bytes of a stream in, whole stanzas out (RFC 6120 §4 and §11).
//!
//! Our own, because what a contact can have relayed must not end the stream: an attribute of 200 kB is built, and a stanza
//! that is too deep, too large or has too many parts is *drained*. It is read to its end without being built, in bounded
//! memory, and handed out as [`Frame::TooMuch`] with what is needed to show a placeholder. Only what is not well-formed,
//! what XMPP forbids (DTD, entities, processing instructions, comments) and a single token of more than a mebibyte end the
//! stream, as [`FramingError`].
//!
//! Invariants: how the bytes were cut into pieces never changes the frames; a byte is looked at once; nothing here
//! recurses, and no tree deeper than [`Limits::depth`] is ever built or dropped.
//!
//! `rxml`'s raw parser reads the grammar, and namespaces are resolved here. Its complete parser would collect all attributes
//! of an element before it says a word, and keep a map for every open level. What is drained is checked for matching tags,
//! but no longer for namespaces and double attributes.
//!
//! Not here: what a stanza means, time-outs, sockets.

use minidom::Element;
use rxml::{
    Error as XmlError, Namespace, NcName, Options, Parse as _, RawEvent, RawParser, WithOptions, XMLNS_XML,
    error::EndOrError,
};

/// Namespace of stanzas (RFC 6120 §4.8.2).
pub(crate) const NS_CLIENT: &str = "jabber:client";
/// Namespace of `<stream:stream/>` (RFC 6120 §4.8.1).
pub(crate) const NS_STREAM: &str = "http://etherx.jabber.org/streams";
const NS_TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const NS_SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const NS_MAM: &str = "urn:xmpp:mam:2";
const NS_STANZA_ID: &str = "urn:xmpp:sid:0";

/// Longest name or attribute value that is accepted, in bytes; a longer one ends the stream.
const MAX_TOKEN: usize = 1 << 20;
/// Longest run of bytes without one event of the parser. References take more room on the wire than in the value, and
/// rxml 0.14 counts no carriage returns against its own limit: a server could fill the memory with nothing else.
const MAX_TOKEN_ON_THE_WIRE: u64 = 2 << 20;
/// Most carriage returns in one name, value or run of text. rxml 0.14 copies all that it holds of it for each, so a server
/// could keep a phone busy for minutes with a megabyte of them. Honest ones write `&#xd;`.
const MAX_RETURNS: usize = 4 << 10;
/// Most attributes of the stream header.
const MAX_HEADER_ATTRIBUTES: usize = 64;
/// Most elements open at once, drained ones included: the parser keeps 24 bytes for each, to compare the end tags.
const MAX_OPEN: usize = 1 << 20;
/// Most bytes in those open names that do not fit into the 24 bytes.
const MAX_OPEN_NAMES: u64 = 4 << 20;
/// Longest name that the parser keeps without an allocation of its own, `<` included.
const INLINE_NAME: usize = 25;
/// How much of a drained stanza is kept raw, in bytes.
const HEAD: usize = 16 << 10;
/// Longest address or id of a drained stanza that is kept, in bytes (an address has at most 3,071).
const MAX_KEPT_VALUE: usize = 4 << 10;
/// Most `<stanza-id/>` of a drained stanza that are kept.
const MAX_KEPT_IDS: usize = 8;

/// What is built; whatever exceeds one of these is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Levels below the stream: a stanza is level 1.
    pub(crate) depth: usize,
    /// Bytes of one stanza on the wire.
    pub(crate) size: usize,
    /// Elements in one stanza, itself included. One costs up to 1.3 kB of memory, even where the wire took nine bytes.
    pub(crate) elements: usize,
    /// Attributes in one stanza, namespace declarations included.
    pub(crate) attributes: usize,
    /// Namespace declarations in force at any one place: each name is looked up among them.
    pub(crate) namespaces: usize,
    /// Bytes of the namespaces of all names in one stanza, each as often as it is used: so they are built.
    pub(crate) spelt: usize,
    /// Bytes of one drained stanza; beyond it the stream ends.
    pub(crate) drained: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 100,
            size: 1 << 20,
            elements: 16_384,
            attributes: 65_536,
            namespaces: 1_024,
            spelt: 4 << 20,
            drained: 256 << 20,
        }
    }
}

/// Which of the [`Limits`] a drained stanza exceeded first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// [`Limits::depth`].
    Depth,
    /// [`Limits::size`].
    Size,
    /// [`Limits::elements`].
    Elements,
    /// [`Limits::attributes`].
    Attributes,
    /// [`Limits::namespaces`] or [`Limits::spelt`].
    Namespaces,
}

/// One unit of the stream, in the order of arrival.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    /// The peer's stream header; the first frame of each stream.
    Header(StreamHeader),
    /// A whole element directly below the stream.
    Element {
        /// The element, without prefixes, neighbouring character data joined.
        element: Element,
        /// Bytes on the wire, from `<` to `>`.
        size: usize,
    },
    /// A stanza that exceeded a limit and was not built. It counts as received (XEP-0198).
    TooMuch(Box<Drained>),
    /// `</stream:stream>`: the peer has ended the session and sends nothing more.
    Footer,
}

/// What the peer's `<stream:stream>` said. Missing attributes are `None`; nothing of it is believed here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StreamHeader {
    /// The domain that answers.
    pub(crate) from: Option<String>,
    /// Whom it believes to talk to.
    pub(crate) to: Option<String>,
    /// The stream id.
    pub(crate) id: Option<String>,
    /// `1.0`, or nothing on a server from before 2004.
    pub(crate) version: Option<String>,
    /// `xml:lang`, the language of its error texts.
    pub(crate) lang: Option<String>,
}

/// What is left of a stanza that was drained: enough for a placeholder and for stepping past it in an archive (STREAM 21).
/// Values longer than 4 KiB are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drained {
    /// The limit it exceeded first.
    pub(crate) why: Excess,
    /// Local name of the stanza, such as `message`.
    pub(crate) name: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its `from`.
    pub(crate) from: Option<String>,
    /// Its `to`.
    pub(crate) to: Option<String>,
    /// Its `id`.
    pub(crate) id: Option<String>,
    /// Its `type`.
    pub(crate) kind: Option<String>,
    /// Set if it is an archive's result (XEP-0313 §4.2). As unproven as the stanza's `from`.
    pub(crate) archive: Option<ArchivedAs>,
    /// The `<stanza-id/>`s (XEP-0359) directly in it, as (`by`, `id`): at most eight, not yet believed.
    pub(crate) stanza_ids: Vec<(String, String)>,
    /// Bytes on the wire.
    pub(crate) size: u64,
    /// Its first 16 KiB as they came. May end inside a character.
    pub(crate) head: Vec<u8>,
}

/// Which result of which archive query a stanza is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArchivedAs {
    /// `queryid` of the `<result/>`.
    pub(crate) query: Option<String>,
    /// `id` of the `<result/>`: the archive's own id.
    pub(crate) id: String,
}

/// Why the stream cannot go on. Everything before the offence was handed out; nothing after it is.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FramingError {
    /// Not XML, not UTF-8, a character that XML does not have, tags or prefixes that do not match.
    #[error("not well-formed: {0}")]
    NotWellFormed(#[source] XmlError),
    /// XML that XMPP forbids (RFC 6120 §11.1): DTD, entities, processing instructions, comments.
    #[error("forbidden XML: {0}")]
    Forbidden(#[source] XmlError),
    /// The root is no `<stream/>` of the stream namespace.
    #[error("not an XMPP stream")]
    NotAStream,
    /// Character data directly in the stream.
    #[error("text between stanzas")]
    TextBetweenStanzas,
    /// One name or attribute value of more than 1 MiB.
    #[error("a name or an attribute value is too long")]
    TokenTooLong,
    /// More than about a million open elements.
    #[error("nested too deeply to be drained")]
    TooDeep,
    /// A stanza that is not over after [`Limits::drained`] bytes.
    #[error("too large to be drained")]
    TooLarge,
}

impl From<XmlError> for FramingError {
    fn from(error: XmlError) -> Self {
        match error {
            // The lexer's only way to say so; held by a test.
            XmlError::RestrictedXml("long name or reference" | "event too long") => Self::TokenTooLong,
            // Behind `<!` only CDATA and comments are known to the lexer, so this is a DTD.
            XmlError::InvalidSyntax("malformed cdata or comment section start")
            | XmlError::RestrictedXml(_)
            | XmlError::UndeclaredEntity => Self::Forbidden(error),
            other => Self::NotWellFormed(other),
        }
    }
}

/// Turns the bytes of one stream into [`Frame`]s.
#[derive(Debug)]
pub(crate) struct Framer {
    parser: RawParser,
    limits: Limits,
    phase: Phase,
    /// Bytes given to `feed` and consumed, over the stream's life.
    fed: u64,
    /// Carriage returns since the last event.
    returns: usize,
    /// Where the last event ended; never ahead of `fed`.
    position: u64,
    /// Elements open below the stream.
    open: usize,
    /// (level, length) of open names that take memory of their own, and the sum of the lengths.
    long_names: Vec<(usize, u64)>,
    long_names_sum: u64,
    /// The start tag being read, unless it is one that nobody will look at.
    tag: Option<Tag>,
    /// Attributes of `tag`; declarations are in `scopes`.
    attributes: Vec<(AttributeName, String)>,
    /// Namespace declarations in force, innermost last, and how many there were before each open element.
    scopes: Vec<Scope>,
    marks: Vec<usize>,
    /// The stanza's open elements, outermost first. Empty while draining.
    stack: Vec<Element>,
    /// Character data not yet appended to the top of the stack.
    text: String,
    /// Of the stanza being read: where it began, and its parts so far.
    start: u64,
    elements: usize,
    /// See [`Limits::spelt`].
    spelt: usize,
    attribute_count: usize,
    /// Set while a stanza is drained.
    drained: Option<Box<Drained>>,
    /// What was being read when the stream failed.
    broken: Option<Box<Drained>>,
    /// The first raw bytes of what is being read, from `head_start` on.
    head: Vec<u8>,
    head_start: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// No header yet.
    Opening,
    Open,
    /// Behind the footer.
    Closed,
    Failed(FramingError),
}

#[derive(Debug)]
struct Tag {
    prefix: Option<NcName>,
    name: NcName,
}

#[derive(Debug)]
struct Scope {
    prefix: Option<NcName>,
    uri: String,
}

/// Whether `feed` goes on behind an event.
enum Then {
    GoOn,
    Stop,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// A framer that waits for a stream header, with the usual [`Limits`].
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// Likewise, with other limits: a notification extension has less memory.
    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self {
            parser: parser(),
            limits,
            phase: Phase::Opening,
            fed: 0,
            returns: 0,
            position: 0,
            open: 0,
            long_names: Vec::new(),
            long_names_sum: 0,
            tag: None,
            attributes: Vec::new(),
            scopes: Vec::new(),
            marks: Vec::new(),
            stack: Vec::new(),
            text: String::new(),
            start: 0,
            elements: 0,
            spelt: 0,
            attribute_count: 0,
            drained: None,
            broken: None,
            head: Vec::new(),
            head_start: 0,
        }
    }

    /// What is known of the stanza in the middle of which the stream failed, once.
    pub(crate) fn take_broken(&mut self) -> Option<Box<Drained>> {
        self.broken.take()
    }

    /// Forgets everything and waits for the header of a new stream on the same connection: behind SASL's `<success/>`
    /// (RFC 6120 §6.4.6) or STARTTLS.
    pub(crate) fn restart(&mut self) {
        *self = Self::with_limits(self.limits);
    }

    /// Reads `bytes`, appends what is complete to `frames`, and returns how many bytes were used.
    ///
    /// These are all of them, with one exception: behind `<proceed/>` of STARTTLS, and behind `<success/>` of RFC 6120's
    /// SASL, a new stream begins, so the bytes that follow are the caller's to judge. Behind `<proceed/>` there must be none:
    /// they came unprotected and would be taken for protected ones (CVE-2011-0411). Calling `feed` with them reads on in
    /// the old stream.
    ///
    /// Whitespace between stanzas is no frame. Behind the footer everything is ignored.
    ///
    /// # Errors
    /// The stream is over; the same error is returned from then on. Frames from before the offence are in `frames`.
    pub(crate) fn feed(&mut self, bytes: &[u8], frames: &mut Vec<Frame>) -> Result<usize, FramingError> {
        let piece = if bytes.contains(&b'\r') { MAX_RETURNS } else { bytes.len().max(1) };
        let mut used = 0;
        for piece in bytes.chunks(piece) {
            let now = self.feed_piece(piece, frames)?;
            used += now;
            if now < piece.len() {
                break;
            }
        }
        Ok(used)
    }

    fn feed_piece(&mut self, bytes: &[u8], frames: &mut Vec<Frame>) -> Result<usize, FramingError> {
        match self.phase {
            Phase::Failed(error) => return Err(error),
            Phase::Closed => return Ok(bytes.len()),
            Phase::Opening | Phase::Open => {}
        }
        let mut rest = bytes;
        if self.fed == 0 && self.phase == Phase::Opening {
            // Left over from the stream before this one.
            rest = rest.trim_ascii_start();
        }
        let skipped = bytes.len() - rest.len();
        let bytes = rest;
        let has_returns = rest.contains(&b'\r');
        let before = self.position;
        loop {
            // Text between stanzas is an offence or a sign of life, so nothing waits for its end there; and what is drained
            // need not be collected first.
            self.parser.set_text_buffering(self.open > 0 && self.drained.is_none());
            match self.parser.parse(&mut rest, false) {
                Ok(Some(event)) => {
                    self.position += event.metrics().len() as u64;
                    match self.handle(event, bytes, frames) {
                        Ok(Then::GoOn) => {}
                        Ok(Then::Stop) => break,
                        Err(error) => return self.fail(error, bytes),
                    }
                }
                Ok(None) | Err(EndOrError::NeedMoreData) => break,
                Err(EndOrError::Error(error)) => return self.fail(error.into(), bytes),
            }
        }
        let used = bytes.len() - rest.len();
        let pending = if self.open > 0 { self.start } else { self.position };
        self.keep_head(bytes, pending, self.fed + used as u64);
        self.fed += used as u64;
        if self.phase == Phase::Closed {
            return Ok(skipped + bytes.len());
        }
        let pending = self.fed.saturating_sub(self.position);
        if has_returns {
            let tail = &bytes[used - as_index(pending.min(used as u64))..used];
            let returns = tail.iter().filter(|byte| **byte == b'\r').count();
            self.returns = if self.position == before { self.returns + returns } else { returns };
        }
        if pending > MAX_TOKEN_ON_THE_WIRE || (self.returns > MAX_RETURNS && has_returns) {
            return self.fail(FramingError::TokenTooLong, &[]);
        }
        Ok(skipped + used)
    }

    fn fail(&mut self, error: FramingError, bytes: &[u8]) -> Result<usize, FramingError> {
        let limits = self.limits;
        let mut broken = None;
        if self.open > 0 {
            self.give_up(Excess::Size);
            self.keep_head(bytes, self.start, self.position);
            broken = self.drained.take().filter(|drained| !drained.name.is_empty());
        }
        if let Some(broken) = &mut broken {
            broken.size = self.position - self.start;
            broken.head = std::mem::take(&mut self.head);
        }
        *self = Self::with_limits(limits);
        self.broken = broken;
        self.phase = Phase::Failed(error);
        Err(error)
    }

    fn handle(
        &mut self,
        event: RawEvent,
        bytes: &[u8],
        frames: &mut Vec<Frame>,
    ) -> Result<Then, FramingError> {
        if self.open > 0 {
            let size = self.position - self.start;
            if size > self.limits.drained {
                return Err(FramingError::TooLarge);
            }
            if size > self.limits.size as u64 {
                self.give_up(Excess::Size);
            }
        }
        match event {
            RawEvent::XmlDeclaration(..) => {}
            RawEvent::ElementHeadOpen(metrics, (prefix, name)) => {
                self.open_tag(Tag { prefix, name }, metrics.len())?;
            }
            RawEvent::Attribute(_, name, value) => self.attribute(name, value)?,
            RawEvent::ElementHeadClose(_) => self.close_tag(frames)?,
            RawEvent::Text(_, text) => {
                if self.open == 0 {
                    if !text.bytes().all(|byte| byte.is_ascii_whitespace()) {
                        return Err(FramingError::TextBetweenStanzas);
                    }
                } else if self.drained.is_none() {
                    if self.text.is_empty() {
                        self.text = text;
                    } else {
                        self.text.push_str(&text);
                    }
                }
            }
            RawEvent::ElementFoot(_) => return Ok(self.close_element(bytes, frames)),
        }
        Ok(Then::GoOn)
    }

    fn open_tag(&mut self, tag: Tag, length: usize) -> Result<(), FramingError> {
        if self.phase == Phase::Opening {
            self.marks.push(0);
            self.tag = Some(tag);
            return Ok(());
        }
        if self.open == 0 {
            self.start = self.position - length as u64;
            (self.elements, self.spelt) = (0, 0);
            self.attribute_count = 0;
        }
        self.flush_text();
        self.open += 1;
        self.elements += 1;
        if self.open > MAX_OPEN {
            return Err(FramingError::TooDeep);
        }
        if length > INLINE_NAME {
            self.long_names.push((self.open, length as u64));
            self.long_names_sum += length as u64;
            if self.long_names_sum > MAX_OPEN_NAMES {
                return Err(FramingError::TooDeep);
            }
        }
        if self.drained.is_none() || self.open <= 2 {
            self.marks.push(self.scopes.len());
            self.tag = Some(tag);
        }
        if self.open > self.limits.depth {
            self.give_up(Excess::Depth);
        } else if self.elements > self.limits.elements {
            self.give_up(Excess::Elements);
        }
        Ok(())
    }

    fn attribute(&mut self, name: AttributeName, value: String) -> Result<(), FramingError> {
        if self.tag.is_none() {
            return Ok(());
        }
        self.attribute_count += 1;
        if self.phase == Phase::Opening {
            if self.attribute_count > MAX_HEADER_ATTRIBUTES {
                return Err(FramingError::NotAStream);
            }
        } else if self.attribute_count > self.limits.attributes {
            self.give_up(Excess::Attributes);
            if self.tag.is_none() {
                return Ok(());
            }
        }
        let prefix = match &name {
            (None, local) if local == "xmlns" => None,
            (Some(xmlns), _) if xmlns == "xmlns" => Some(name.1),
            _ => {
                if self.drained.is_none() || is_worth_keeping(&name, &value, self.attributes.len()) {
                    self.attributes.push((name, value));
                }
                return Ok(());
            }
        };
        if self.drained.is_none() && self.scopes.len() >= self.limits.namespaces {
            self.give_up(Excess::Namespaces);
            if self.tag.is_none() {
                return Ok(());
            }
        }
        if self.drained.is_some() {
            if value.len() <= MAX_KEPT_VALUE && self.scopes.len() <= self.limits.namespaces {
                self.scopes.push(Scope { prefix, uri: value });
            }
            return Ok(());
        }
        let mine = *self.marks.last().expect("a tag has a mark");
        if self.scopes[mine..].iter().any(|scope| scope.prefix == prefix) {
            return Err(XmlError::DuplicateAttribute.into());
        }
        self.scopes.push(Scope { prefix, uri: value });
        Ok(())
    }

    /// The start tag is complete.
    fn close_tag(&mut self, frames: &mut Vec<Frame>) -> Result<(), FramingError> {
        if self.drained.is_none() && self.phase != Phase::Opening && self.spells_too_much() {
            self.give_up(Excess::Namespaces);
        }
        let Some(tag) = self.tag.take() else { return Ok(()) };
        if let Some(drained) = &mut self.drained {
            let namespace = resolve(&self.scopes, tag.prefix.as_ref()).unwrap_or_default().to_owned();
            let attributes = std::mem::take(&mut self.attributes);
            if self.open == 1 {
                drained.note_stanza(tag.name.as_str(), namespace, |name| find(&attributes, name));
            } else {
                drained.note_child(tag.name.as_str(), &namespace, |name| find(&attributes, name));
            }
            return Ok(());
        }
        let undeclared = XmlError::UndeclaredNamespacePrefix(None);
        let namespace = resolve(&self.scopes, tag.prefix.as_ref()).ok_or(undeclared)?;
        let mut element = Element::bare(tag.name.as_str(), namespace);
        for ((prefix, name), value) in self.attributes.drain(..) {
            let namespace = match prefix {
                None => Namespace::NONE,
                Some(prefix) => match resolve(&self.scopes, Some(&prefix)).ok_or(undeclared)? {
                    XMLNS_XML => Namespace::XML,
                    other => Namespace::from(other.to_owned()),
                },
            };
            if element.attrs_mut().insert(namespace, name, value).is_some() {
                return Err(XmlError::DuplicateAttribute.into());
            }
        }
        if self.phase == Phase::Opening {
            if !element.is("stream", NS_STREAM) {
                return Err(FramingError::NotAStream);
            }
            self.phase = Phase::Open;
            let attribute = |name: &str| element.attr(name).map(str::to_owned);
            frames.push(Frame::Header(StreamHeader {
                from: attribute("from"),
                to: attribute("to"),
                id: attribute("id"),
                version: attribute("version"),
                lang: element.attr_ns(XMLNS_XML, "lang").map(str::to_owned),
            }));
        } else {
            self.stack.push(element);
        }
        Ok(())
    }

    /// Every name is built with its namespace, which the wire says once: whether the names of this stanza, with the tag that is being
    /// read, are longer so than one may be.
    fn spells_too_much(&mut self) -> bool {
        let of_prefix = |prefix: Option<&NcName>| resolve(&self.scopes, prefix).map_or(0, str::len);
        let of_tag = self.tag.as_ref().map_or(0, |tag| of_prefix(tag.prefix.as_ref()));
        let prefixes = self.attributes.iter().filter_map(|((prefix, _), _)| prefix.as_ref());
        self.spelt += of_tag + prefixes.map(|prefix| of_prefix(Some(prefix))).sum::<usize>();
        self.spelt > self.limits.spelt
    }

    fn close_element(&mut self, bytes: &[u8], frames: &mut Vec<Frame>) -> Then {
        if self.open == 0 {
            self.phase = Phase::Closed;
            frames.push(Frame::Footer);
            return Then::Stop;
        }
        self.flush_text();
        if let Some((level, length)) = self.long_names.last().copied()
            && level == self.open
        {
            self.long_names.pop();
            self.long_names_sum -= length;
        }
        if self.drained.is_none() || self.open <= 2 {
            let mark = self.marks.pop().expect("an open element has a mark");
            self.scopes.truncate(mark);
        }
        self.open -= 1;
        if let Some(mut drained) = self.drained.take() {
            if self.open > 0 {
                self.drained = Some(drained);
                return Then::GoOn;
            }
            drained.size = self.position - self.start;
            self.drained = Some(drained);
            self.keep_head(bytes, self.start, self.position);
            let mut drained = self.drained.take().expect("put there above");
            drained.head = std::mem::take(&mut self.head);
            frames.push(Frame::TooMuch(drained));
            // What the depth or the token took need not stay for the stream's life.
            self.parser.release_temporaries();
            self.long_names = Vec::new();
            return Then::GoOn;
        }
        let element = self.stack.pop().expect("an open element is on the stack while nothing is drained");
        if let Some(parent) = self.stack.last_mut() {
            parent.append_child(element);
            return Then::GoOn;
        }
        let new_stream = element.is("proceed", NS_TLS) || element.is("success", NS_SASL);
        let size = usize::try_from(self.position - self.start).unwrap_or(usize::MAX);
        frames.push(Frame::Element { element, size });
        if new_stream { Then::Stop } else { Then::GoOn }
    }

    fn flush_text(&mut self) {
        if !self.text.is_empty()
            && let Some(top) = self.stack.last_mut()
        {
            top.append_text_node(std::mem::take(&mut self.text));
        }
    }

    /// From here to its end the stanza is read without being built.
    fn give_up(&mut self, why: Excess) {
        if self.drained.is_some() {
            return;
        }
        let mut drained = Box::new(Drained {
            why,
            name: String::new(),
            namespace: String::new(),
            from: None,
            to: None,
            id: None,
            kind: None,
            archive: None,
            stanza_ids: Vec::new(),
            size: 0,
            head: Vec::new(),
        });
        if let Some(stanza) = self.stack.first() {
            drained.note_stanza(stanza.name(), stanza.ns(), |name| plain(stanza, name));
            for child in stanza.children().chain(self.stack.get(1)) {
                drained.note_child(child.name(), &child.ns(), |name| plain(child, name));
            }
        }
        self.drained = Some(drained);
        self.stack = Vec::new();
        self.text = String::new();
        if self.open > 2 {
            self.tag = None;
            // The stream, the stanza and its child keep their marks.
            self.scopes.truncate(self.marks.get(3).copied().unwrap_or(self.scopes.len()));
            self.marks.truncate(3);
        }
        if self.tag.is_none() {
            self.attributes = Vec::new();
        } else {
            let all = std::mem::take(&mut self.attributes);
            for (name, value) in all {
                if is_worth_keeping(&name, &value, self.attributes.len()) {
                    self.attributes.push((name, value));
                }
            }
        }
    }

    /// Keeps the raw bytes from the position `from` to the position `until`, as far as [`HEAD`] goes. `bytes` begin at
    /// `self.fed`, and what came before them is kept already.
    fn keep_head(&mut self, bytes: &[u8], from: u64, until: u64) {
        if self.head_start < from {
            let gone = usize::try_from(from - self.head_start).unwrap_or(usize::MAX).min(self.head.len());
            self.head.drain(..gone);
            self.head_start = from;
        }
        let room = HEAD - self.head.len();
        if room == 0 || until <= self.fed {
            return;
        }
        let mut new = &bytes[..as_index(until - self.fed)];
        if self.head.is_empty() {
            new = &new[as_index(from.saturating_sub(self.fed)).min(new.len())..];
            if self.open == 0 && self.drained.is_none() {
                // Keep-alives between stanzas are the beginning of nothing.
                new = new.trim_ascii_start();
            }
            self.head_start = until - new.len() as u64;
        }
        self.head.extend_from_slice(&new[..new.len().min(room)]);
    }
}

impl Drained {
    fn note_stanza<'a>(
        &mut self,
        name: &str,
        namespace: String,
        attribute: impl Fn(&str) -> Option<&'a str>,
    ) {
        self.name = name.to_owned();
        self.namespace = namespace;
        let attribute = |name: &str| attribute(name).map(str::to_owned);
        self.from = attribute("from");
        self.to = attribute("to");
        self.id = attribute("id");
        self.kind = attribute("type");
    }

    fn note_child<'a>(&mut self, name: &str, namespace: &str, attribute: impl Fn(&str) -> Option<&'a str>) {
        let attribute = |name: &str| attribute(name).map(str::to_owned);
        if name == "result" && namespace == NS_MAM {
            if self.archive.is_none()
                && let Some(id) = attribute("id")
            {
                self.archive = Some(ArchivedAs { query: attribute("queryid"), id });
            }
        } else if name == "stanza-id"
            && namespace == NS_STANZA_ID
            && self.stanza_ids.len() < MAX_KEPT_IDS
            && let (Some(by), Some(id)) = (attribute("by"), attribute("id"))
        {
            self.stanza_ids.push((by, id));
        }
    }
}

type AttributeName = (Option<NcName>, NcName);

fn parser() -> RawParser {
    <RawParser as WithOptions>::with_options(Options { max_token_length: MAX_TOKEN, ..Options::default() })
}

/// The namespace in force for a prefix, innermost declaration first. No prefix and no declaration is "no namespace".
fn resolve<'a>(scopes: &'a [Scope], prefix: Option<&NcName>) -> Option<&'a str> {
    match scopes.iter().rev().find(|scope| scope.prefix.as_ref() == prefix) {
        Some(scope) => Some(&scope.uri),
        None => match prefix {
            None => Some(""),
            Some(prefix) if prefix == "xml" => Some(XMLNS_XML),
            Some(_) => None,
        },
    }
}

/// Whether an attribute of a drained stanza or of its child is one of those that a placeholder needs.
fn is_worth_keeping(name: &AttributeName, value: &str, already: usize) -> bool {
    already < MAX_KEPT_IDS
        && short(value).is_some()
        && name.0.is_none()
        && matches!(name.1.as_str(), "from" | "to" | "id" | "type" | "by" | "queryid")
}

fn find<'a>(attributes: &'a [(AttributeName, String)], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|((prefix, local), _)| prefix.is_none() && local == name)
        .map(|(_, value)| value.as_str())
}

/// An attribute without namespace, unless it is too long to be kept.
fn plain<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    element.attrs().get(&Namespace::NONE, name).and_then(|value| short(value))
}

fn short(value: &str) -> Option<&str> {
    (value.len() <= MAX_KEPT_VALUE).then_some(value)
}

fn as_index(length: u64) -> usize {
    usize::try_from(length).expect("a length within a slice")
}

#[cfg(test)]
mod tests;
