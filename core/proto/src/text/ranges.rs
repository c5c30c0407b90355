//! Ranges of a text in the three units that are about: code points in stanzas (XEP-0426), bytes in Rust, UTF-16 in shells.

use std::ops::Range;

use jid::Jid;

use super::{MOST, Span, Style, extends};
use crate::{content::Mention, uri::Uri};

/// The mentions that hold. What overlaps an earlier one, is empty, out of the text or names nobody is dropped.
pub(super) fn mentions(text: &str, mentions: &[Mention]) -> Vec<Span> {
    let mut mentions: Vec<_> =
        mentions.iter().take(MOST).filter(|mention| mention.begin < mention.end).collect();
    mentions.sort_by_key(|mention| mention.begin);
    let points = mentions
        .iter()
        .flat_map(|mention| [mention.begin, mention.end].map(|point| point as usize))
        .collect();
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

/// Mentions as they are written, of whoever is named in these bytes of a text; none where a range is empty, not of this text, cuts
/// a character or overlaps another one.
pub fn mention(text: &str, parts: &[(Range<usize>, Jid)]) -> Option<Vec<Mention>> {
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|(range, _)| range.start);
    let mut free = 0;
    for (range, _) in &parts {
        if range.start < free || range.is_empty() || text.get(range.clone()).is_none() {
            return None;
        }
        free = range.end;
    }
    let points = parts.iter().flat_map(|(range, _)| [range.start, range.end]).collect();
    let points = converted(points, code_points(text).map(|(point, at)| (at, point)));
    let mention = |((_, whom), range): (&(Range<usize>, Jid), &[Option<usize>])| {
        let uri = Uri::to(whom.clone()).to_string();
        Some(Mention { begin: range[0]? as u32, end: range[1]? as u32, uri })
    };
    parts.into_iter().zip(points.chunks_exact(2)).map(mention).collect()
}

/// The mentions of a body of which a part is not shown, in what is left of it.
pub(super) fn without(cut: Range<u32>, mentions: &[Mention]) -> Vec<Mention> {
    let left = |point: u32| point - point.min(cut.end).saturating_sub(cut.start);
    let moved = mentions.iter().map(|mention| Mention {
        begin: left(mention.begin),
        end: left(mention.end),
        uri: mention.uri.clone(),
    });
    moved.collect()
}

/// Points of a text from code points to bytes, each where it is in the text or at its end.
fn in_bytes(text: &str, points: Vec<usize>) -> Vec<Option<usize>> {
    converted(points, code_points(text))
}

/// Each code point and its first byte, and the end.
fn code_points(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).enumerate()
}

/// The first UTF-16 code unit of each character and its first byte, and the end.
fn utf16_units(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let lengths = text.char_indices().map(|(at, c)| (at, c.len_utf16())).chain([(text.len(), 0)]);
    lengths.scan(0, |units, (at, length)| {
        let here = (*units, at);
        *units += length;
        Some(here)
    })
}

/// The ranges of spans in UTF-16 code units, as Kotlin's and Swift's `NSRange` count, in the order of the spans.
pub fn utf16(text: &str, spans: &[Span]) -> Vec<Range<usize>> {
    if spans.is_empty() {
        return Vec::new();
    }
    let points = spans.iter().flat_map(|span| [span.range.start, span.range.end]).collect();
    let all = text.encode_utf16().count();
    let units = converted(points, utf16_units(text).map(|(unit, at)| (at, unit)));
    units.chunks_exact(2).map(|range| range[0].unwrap_or(all)..range[1].unwrap_or(all)).collect()
}

/// Ranges of a text in UTF-16 code units in bytes; none for a range that is not of this text or cuts a character.
pub fn bytes(text: &str, ranges: &[Range<usize>]) -> Vec<Option<Range<usize>>> {
    let points = ranges.iter().flat_map(|range| [range.start, range.end]).collect();
    converted(points, utf16_units(text)).chunks_exact(2).map(|range| Some(range[0]?..range[1]?)).collect()
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
