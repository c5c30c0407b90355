//! Message styling (XEP-0393): blocks first, line by line, then the spans in each line.
//!
//! One pass. Of a line's spans only four kinds exist and one cannot contain its own kind (it would have ended it), so that
//! looking for where a span ends goes over a line at most four times.

use std::ops::Range;

use super::{MOST, Span, Style, extends};

/// How deep quotes nest. What is deeper is the text of the innermost.
const DEEPEST: usize = 8;
const FENCE: &str = "```";
const DIRECTIVES: [u8; 4] = [b'*', b'_', b'~', b'`'];

/// The styles of a text, in no order.
pub(super) fn read(text: &str) -> Vec<Span> {
    if !text.bytes().any(|byte| byte == b'>' || DIRECTIVES.contains(&byte)) {
        return Vec::new();
    }
    let mut blocks = Blocks { text, quotes: Vec::new(), fence: None, end: 0, spans: Vec::new() };
    let mut start = 0;
    for line in text.split('\n') {
        if blocks.spans.len() >= MOST {
            break;
        }
        blocks.line(start..start + line.len());
        blocks.end = start + line.len();
        start = blocks.end + 1;
    }
    blocks.leave(0);
    blocks.end_fence();
    blocks.spans
}

struct Blocks<'a> {
    text: &'a str,
    /// Where the quotes begin that are open, the outermost first.
    quotes: Vec<usize>,
    /// Where the preformatted block begins that is open in the innermost of them.
    fence: Option<usize>,
    /// The end of the last line.
    end: usize,
    spans: Vec<Span>,
}

impl Blocks<'_> {
    fn line(&mut self, line: Range<usize>) {
        let Range { mut start, end } = line;
        // What is preformatted has no quotes in it, so that only the lines of its parent are told from others.
        let deepest = if self.fence.is_some() { self.quotes.len() } else { DEEPEST };
        let mut quotes = Vec::new();
        while quotes.len() < deepest && is_directive(self.text, start, b'>') {
            self.spans.push(Span { range: start..start + 1, style: Style::Directive });
            quotes.push(start);
            start += 1;
            // "Lines inside the block quote MUST have the first leading whitespace character trimmed."
            let space = self.text[start..end].chars().next().filter(|c| c.is_whitespace());
            start += space.map_or(0, char::len_utf8);
        }
        self.leave(quotes.len());
        self.quotes.extend(quotes.into_iter().skip(self.quotes.len()));
        let rest = &self.text[start..end];
        match self.fence {
            Some(_) if rest == FENCE => {
                self.spans.push(Span { range: start..end, style: Style::Directive });
                self.end = end;
                self.end_fence();
            }
            Some(_) => {}
            None if rest.starts_with(FENCE) => {
                self.spans.push(Span { range: start..start + FENCE.len(), style: Style::Directive });
                self.fence = Some(start);
            }
            None => self.spans_in(start..end),
        }
    }

    /// Ends the blocks that a line with fewer quotes is not in.
    fn leave(&mut self, depth: usize) {
        if depth < self.quotes.len() {
            self.end_fence();
            let end = self.end;
            let left = self.quotes.drain(depth..);
            self.spans.extend(left.map(|start| Span { range: start..end, style: Style::Quote }));
        }
    }

    fn end_fence(&mut self) {
        let fence = self.fence.take().map(|start| start..self.end);
        self.spans.extend(fence.map(|range| Span { range, style: Style::Preformatted }));
    }

    fn spans_in(&mut self, line: Range<usize>) {
        let mut closing = Closing { text: self.text, line: line.clone(), next: [line.start; 4] };
        self.children(line, true, &mut closing);
    }

    /// The spans in a line, or in another span. `opens`: its first character may begin one.
    fn children(&mut self, parent: Range<usize>, opens: bool, closing: &mut Closing<'_>) {
        let bytes = self.text.as_bytes();
        let (mut at, mut opens) = (parent.start, opens);
        while at < parent.end {
            let kind = DIRECTIVES.iter().position(|directive| *directive == bytes[at]);
            let Some(kind) = kind.filter(|_| opens && self.is_opening(at, parent.end)) else {
                // A whitespace character of several bytes opens where its last byte ends.
                let c = self.text[at..].chars().next().unwrap_or_default();
                opens = c.is_whitespace();
                at += c.len_utf8();
                continue;
            };
            opens = false;
            let Some(end) = closing.behind(at, kind).filter(|end| *end < parent.end) else {
                at += 1;
                continue;
            };
            if end == at + 1 {
                // "MUST contain some text between the two directives, otherwise neither directive is valid."
                at += 2;
                continue;
            }
            if self.spans.len() >= MOST {
                return;
            }
            let style = [Style::Strong, Style::Emphasis, Style::Strike, Style::Mono][kind].clone();
            let is_mono = style == Style::Mono;
            self.spans.push(Span { range: at..at + 1, style: Style::Directive });
            self.spans.push(Span { range: at..end + 1, style });
            if !is_mono {
                self.children(at + 1..end, true, closing);
            }
            self.spans.push(Span { range: end..end + 1, style: Style::Directive });
            at = end + 1;
        }
    }

    fn is_opening(&self, at: usize, end: usize) -> bool {
        let next = self.text[at + 1..end].chars().next();
        next.is_some_and(|next| !next.is_whitespace() && !extends(next))
    }
}

/// Where the next directive of each kind stands that may close a span.
struct Closing<'a> {
    text: &'a str,
    line: Range<usize>,
    next: [usize; 4],
}

impl Closing<'_> {
    /// The first behind an opening. Asked from left to right, so that nothing is looked at twice.
    fn behind(&mut self, opening: usize, kind: usize) -> Option<usize> {
        let mut at = self.next[kind].max(opening + 1);
        let directive = DIRECTIVES[kind];
        while at < self.line.end && !(is_directive(self.text, at, directive) && self.follows_text(at)) {
            at += 1;
        }
        self.next[kind] = at;
        (at < self.line.end).then_some(at)
    }

    fn follows_text(&self, at: usize) -> bool {
        self.text[self.line.start..at].chars().next_back().is_some_and(|c| !c.is_whitespace())
    }
}

/// Whether this directive stands there, alone: `*` with the mark that makes it a key is another character.
fn is_directive(text: &str, at: usize, directive: u8) -> bool {
    text.as_bytes().get(at) == Some(&directive) && !text[at + 1..].chars().next().is_some_and(extends)
}
