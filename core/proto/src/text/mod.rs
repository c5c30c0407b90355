//! What a text looks like: styles, links, mentions, `/me`, emoji. Pure functions from a text to values.
//!
//! The text stays as it was written. A [`Span`] is a range of it, and what makes a style (the stars of `*strong*`) is marked
//! beside as [`Style::Directive`], so that a shell can dim it or leave it out. Ranges are in bytes of UTF-8 here, as Rust slices
//! texts; [`utf16`] makes them what Kotlin and Swift count in, and stanzas count code points (XEP-0426): those are turned into
//! bytes where they come in. No range ends between a character and what combines with it.
//!
//! A text comes from strangers: whatever it holds, the time is linear in its length and the number of spans is bounded; what stands
//! behind the last of them is plain. Nothing here says what a link does, and nobody may follow one before a person has said so.

mod emoji;
mod links;
mod ranges;
mod styling;

use std::{borrow::Cow, cmp::Reverse, ops::Range};

use jid::Jid;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

pub use self::{
    links::Location,
    ranges::{bytes, mention, utf16},
};
use crate::content::{Content, Mention};

/// Most styles, links and mentions each of one text. Nobody reads a text that has more.
const MOST: usize = 2_000;

/// What a text looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Where what stands, by where they begin, the longer ones first. Those of one kind do not overlap, but for quotes, which nest.
    pub spans: Vec<Span>,
    /// It begins with `/me `: what follows is what its sender does (XEP-0245). Shown with the name in place of `/me`.
    pub is_action: bool,
    /// A few emoji and nothing else: to be shown large.
    pub emoji_only: bool,
}

/// A part of a text that is more than plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which, in bytes: a part of the text's own `str`.
    pub range: Range<usize>,
    /// What it is.
    pub style: Style,
}

/// What a part of a text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// What only makes a style, in the text as it was written: to be dimmed, or left out.
    Directive,
    /// `*strong*`
    Strong,
    /// `_emphasis_`
    Emphasis,
    /// `~struck~`
    Strike,
    /// `` `monospaced` `` within a line.
    Mono,
    /// A block as it was written, in a font of one width. It contains nothing else.
    Preformatted,
    /// Lines that somebody said before. One within another is nested.
    Quote,
    /// To somewhere else.
    Link {
        /// Where to: `http`, `https`, `xmpp`, `mailto` or `tel`. What was written without a scheme has one here.
        url: String,
    },
    /// A place on the earth, from a `geo:` link.
    Location(Location),
    /// Somebody is meant by it (XEP-0372).
    Mention {
        /// Who.
        whom: Jid,
    },
}

/// What is shown of a body, and what it looks like: without what only repeats what it answers (XEP-0428).
pub fn shown<'a>(body: &'a str, content: &Content) -> (Cow<'a, str>, Text) {
    let Some((before, quoted, behind)) = content.split(body) else {
        return (Cow::Borrowed(body), read(body, content.unstyled, &content.mentions));
    };
    let cut = before.chars().count() as u32;
    let cut = cut..cut + quoted.chars().count() as u32;
    let text = format!("{before}{behind}");
    let looks = read(&text, content.unstyled, &ranges::without(cut, &content.mentions));
    (Cow::Owned(text), looks)
}

/// Reads a text. `unstyled`: its sender says that nothing in it is a style (XEP-0393 §6).
pub fn read(text: &str, unstyled: bool, mentions: &[Mention]) -> Text {
    let mut spans = if unstyled { Vec::new() } else { styling::read(text) };
    spans.sort_by_key(|span| span.range.start);
    let links = links::find(text, &spans);
    spans.extend(links);
    spans.extend(ranges::mentions(text, mentions));
    spans.sort_by_key(|span| (span.range.start, Reverse(span.range.end)));
    Text { spans, is_action: text.starts_with("/me "), emoji_only: emoji::is_only_emoji(text) }
}

/// Whether a character belongs to the one before it (UAX #29, as far as it matters where a text is cut).
fn extends(c: char) -> bool {
    // ASCII first: it is what most texts are made of.
    !c.is_ascii()
        && (c.general_category_group() == GeneralCategoryGroup::Mark
            || matches!(c, '\u{200C}' | '\u{200D}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0020}'..='\u{E007F}'))
}

#[cfg(test)]
mod tests;
