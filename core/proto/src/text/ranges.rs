//! Ranges of a text in the three units that are about: code points in stanzas (XEP-0426), bytes in Rust, UTF-16 in shells.

use std::{borrow::Cow, ops::Range};

use jid::Jid;
use serde::{Deserialize, Serialize};

use super::{MOST, Span, Style, extends};
use crate::uri::Uri;

/// Somebody is meant by a part of a body (XEP-0372 §4.2), as a stanza says it and not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// The first code point.
    pub begin: usize,
    /// Behind the last code point.
    pub end: usize,
    /// Who: an `xmpp:` link.
    pub uri: String,
}

/// The mentions that hold. What overlaps an earlier one, is empty, out of the text or names nobody is dropped.
pub(super) fn mentions(text: &str, mentions: &[Mention]) -> Vec<Span> {
    let mut mentions: Vec<_> =
        mentions.iter().take(MOST).filter(|mention| mention.begin < mention.end).collect();
    mentions.sort_by_key(|mention| mention.begin);
    let points = mentions.iter().flat_map(|mention| [mention.begin, mention.end]).collect();
    let bytes = in_bytes(text, points);
    let mut spans: Vec<Span> = Vec::new();
    for (mention, range) in mentions.into_iter().zip(bytes.chunks_exact(2)) {
        let &[Some(begin), Some(end)] = range else { continue };
        let free = spans.last().map_or(0, |span| span.range.end);
        let Some(whom) = whom(&mention.uri).filter(|_| begin >= free) else { continue };
        // XEP-0426 §3.1: a range that ends within a character has all of it.
        let begin = (free..=begin).rev().find(|at| !is_within(text, *at)).unwrap_or(free);
        let end = (end..text.len()).find(|at| !is_within(text, *at)).unwrap_or(text.len());
        spans.push(Span { range: begin..end, style: Style::Mention { whom } });
    }
    spans
}

fn whom(uri: &str) -> Option<Jid> {
    uri.parse::<Uri>().ok()?.address
}

/// Whether a text would be cut within a character there, as people see characters.
fn is_within(text: &str, at: usize) -> bool {
    if !text.is_char_boundary(at) {
        return true;
    }
    let (before, behind) = text.split_at(at);
    !before.is_empty()
        && behind.chars().next().is_some_and(|next| extends(next) || before.ends_with('\u{200D}'))
}

/// The parts of a body that only stand for what an old client does not know (XEP-0428).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fallback {
    /// In code points, in order, apart from each other.
    ranges: Vec<Range<usize>>,
}

impl Fallback {
    /// Of a body, by what its stanza says in code points. What is inverted, empty or ends behind the body is nonsense, and no part
    /// of it.
    pub fn new(body: &str, ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        let length = body.chars().count();
        let is_part = |range: &Range<usize>| range.start < range.end && range.end <= length;
        let mut claimed: Vec<_> = ranges.into_iter().take(MOST).filter(is_part).collect();
        claimed.sort_by_key(|range| range.start);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for range in claimed {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }

    /// The body without them.
    pub fn without<'a>(&self, body: &'a str) -> Cow<'a, str> {
        if self.ranges.is_empty() {
            return Cow::Borrowed(body);
        }
        let points = self.ranges.iter().flat_map(|range| [range.start, range.end]).collect();
        let mut left = String::new();
        let mut kept = 0;
        for cut in in_bytes(body, points).chunks_exact(2) {
            let &[Some(start), Some(end)] = cut else { continue };
            left.push_str(&body[kept..start]);
            kept = end;
        }
        left.push_str(&body[kept..]);
        Cow::Owned(left)
    }

    /// Where mentions of the body are in what is left of it, as far as anything of them is.
    pub fn moved(&self, mentions: &[Mention]) -> Vec<Mention> {
        let left = |point: usize| {
            let gone = self.ranges.iter().map(|cut| cut.end.min(point).saturating_sub(cut.start));
            point - gone.sum::<usize>()
        };
        let moved = mentions.iter().take(MOST).map(|mention| Mention {
            begin: left(mention.begin),
            end: left(mention.end),
            uri: mention.uri.clone(),
        });
        moved.filter(|mention| mention.begin < mention.end).collect()
    }
}

/// Points of a text from code points to bytes, each where it is in the text or at its end.
fn in_bytes(text: &str, points: Vec<usize>) -> Vec<Option<usize>> {
    let offsets = text.char_indices().map(|(at, _)| at).chain([text.len()]).enumerate();
    converted(points, offsets)
}

/// The ranges of spans in UTF-16 code units, as Kotlin's and Swift's `NSRange` count, in the order of the spans.
pub fn utf16(text: &str, spans: &[Span]) -> Vec<Range<usize>> {
    let points = spans.iter().flat_map(|span| [span.range.start, span.range.end]).collect();
    let offsets = text.char_indices().scan(0, |units, (at, c)| {
        let here = (at, *units);
        *units += c.len_utf16();
        Some(here)
    });
    let all = text.encode_utf16().count();
    let units = converted(points, offsets.chain([(text.len(), all)]));
    units.chunks_exact(2).map(|range| range[0].unwrap_or(all)..range[1].unwrap_or(all)).collect()
}

/// Each point by a table that goes upwards, in one pass.
fn converted(points: Vec<usize>, mut table: impl Iterator<Item = (usize, usize)>) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|index| points[*index]);
    let mut found = vec![None; points.len()];
    let mut entry = table.next();
    for index in order {
        while entry.is_some_and(|(from, _)| from < points[index]) {
            entry = table.next();
        }
        found[index] = entry.filter(|(from, _)| *from == points[index]).map(|(_, to)| to);
    }
    found
}
