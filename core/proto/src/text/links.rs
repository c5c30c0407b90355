//! Links in a text, with a scheme or as people write them: `www.` and mail addresses.
//!
//! Not by the crate `linkify`, which knows addresses and `scheme://` alone: `xmpp:`, `mailto:`, `geo:` and `tel:` would need a
//! second rule for where a link ends beside its own. Here there is one, and only these schemes are links at all. What was looked
//! at and is no link is not looked at again, so that the time is linear.

use super::{MOST, Span, Style, extends};
use crate::uri::Uri;

const SCHEMES: [&str; 6] = ["http", "https", "xmpp", "mailto", "geo", "tel"];
/// Longest part of a mail address before the `@` (RFC 5321 §4.5.3.1).
const LONGEST_LOCAL: usize = 64;
/// Longest name of a host.
const LONGEST_HOST: usize = 253;

/// A place on the earth (RFC 5870), in WGS 84. Every number is finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// Metres above the ellipsoid.
    pub altitude: Option<f64>,
    /// How far off it may be, in metres.
    pub uncertainty: Option<f64>,
}

/// None of the numbers is NaN.
impl Eq for Location {}

/// The links of a text, outside of what `styles` (by where they begin) show as it was written.
pub(super) fn find(text: &str, styles: &[Span]) -> Vec<Span> {
    let mut links = Links { text, styles, free: 0, looked: 0, found: Vec::new() };
    let as_written = styles.iter().filter(|span| matches!(span.style, Style::Mono | Style::Preformatted));
    for code in as_written {
        links.find_in(code.range.start);
        links.free = code.range.end;
    }
    links.find_in(text.len());
    links.found
}

struct Links<'a> {
    text: &'a str,
    styles: &'a [Span],
    /// What stands before this is no part of a link that is found next.
    free: usize,
    /// How far the last candidate was read.
    looked: usize,
    found: Vec<Span>,
}

impl Links<'_> {
    fn find_in(&mut self, end: usize) {
        let mut at = self.free;
        while at < end && self.found.len() < MOST {
            self.looked = at + 1;
            let link = match self.text.as_bytes()[at] {
                b':' => self.with_scheme(at, end),
                b'.' => self.www(at, end),
                b'@' => self.mail(at, end),
                _ => None,
            };
            at = self.looked;
            if let Some(link) = link {
                (at, self.free) = (link.range.end, link.range.end);
                self.found.push(link);
            }
        }
    }

    fn with_scheme(&mut self, colon: usize, end: usize) -> Option<Span> {
        let scheme = SCHEMES.into_iter().find(|scheme| self.word_before(colon, scheme).is_some())?;
        let start = self.word_before(colon, scheme)?;
        let is_web = scheme.starts_with("http");
        let from = if is_web && self.text[colon..end].starts_with("://") { colon + 3 } else { colon + 1 };
        let first = self.text[from..end].chars().next()?;
        if is_web && (from == colon + 1 || !(first.is_alphanumeric() || first == '[')) {
            return None;
        }
        let range = start..self.end_of(from, end);
        let url = &self.text[range.clone()];
        let rest = &self.text[from..range.end.max(from)];
        let is_link = match scheme {
            "xmpp" => rest.contains(['@', '.']) && url.parse::<Uri>().is_ok(),
            "mailto" => is_mail(rest.split('?').next().unwrap_or_default()),
            "tel" => is_number(rest.split(';').next().unwrap_or_default()),
            "geo" => {
                let style = Style::Location(Location::read(rest)?);
                return Some(Span { range, style });
            }
            _ => !rest.is_empty(),
        };
        is_link.then(|| Span { style: Style::Link { url: url.to_owned() }, range })
    }

    fn www(&mut self, dot: usize, end: usize) -> Option<Span> {
        let start = self.word_before(dot, "www")?;
        let first = self.text[dot + 1..end].chars().next()?;
        if !first.is_alphanumeric() {
            return None;
        }
        let range = start..self.end_of(dot + 1, end);
        let host = self.text[dot + 1..range.end].split(['/', '?', '#', ':']).next()?;
        let is_host = host_length(host) == host.len() && host.contains('.');
        let url = || format!("https://{}", &self.text[range.clone()]);
        is_host.then(|| Span { style: Style::Link { url: url() }, range: range.clone() })
    }

    fn mail(&mut self, at: usize, end: usize) -> Option<Span> {
        let mut start = at;
        for (index, c) in self.text[self.free..at].char_indices().rev() {
            let index = self.free + index;
            if !is_local(c) || self.is_directive(index) {
                break;
            }
            start = index;
            if at - start > LONGEST_LOCAL {
                return None;
            }
        }
        start += self.text[start..at].len() - self.text[start..at].trim_start_matches(['.', '-', '\'']).len();
        let length = host_length(&self.text[at + 1..end]);
        self.looked = at + 1 + length;
        let range = start..at + 1 + length;
        let address = &self.text[range.clone()];
        is_mail(address).then(|| Span { style: Style::Link { url: format!("mailto:{address}") }, range })
    }

    /// Where a word begins that ends here, if it is this one in any case and stands by itself.
    fn word_before(&self, end: usize, word: &str) -> Option<usize> {
        let start = end.checked_sub(word.len()).filter(|start| *start >= self.free)?;
        if !self.text.get(start..end)?.eq_ignore_ascii_case(word) {
            return None;
        }
        let before = self.text[..start].chars().next_back();
        (!before.is_some_and(|c| c.is_alphanumeric() || c == '+' || extends(c))).then_some(start)
    }

    /// Where a link ends of which this is the rest: not with the sentence's punctuation, nor with a bracket or a style that
    /// began before it.
    fn end_of(&mut self, from: usize, limit: usize) -> usize {
        let (mut round, mut square, mut end) = (0, 0, from);
        self.looked = limit;
        for (index, c) in self.text[from..limit].char_indices() {
            let index = from + index;
            let ends = match c {
                '(' => {
                    round += 1;
                    false
                }
                '[' => {
                    square += 1;
                    false
                }
                ')' => {
                    round -= 1;
                    round < 0
                }
                ']' => {
                    square -= 1;
                    square < 0
                }
                _ => is_outside(c),
            };
            if ends {
                self.looked = index;
                break;
            }
            let may_end = !matches!(c, '(' | '[' | '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '\u{2019}')
                && !self.is_directive(index);
            if may_end {
                end = index + c.len_utf8();
            }
        }
        end
    }

    fn is_directive(&self, at: usize) -> bool {
        if !matches!(self.text.as_bytes()[at], b'*' | b'_' | b'~') {
            return false;
        }
        let first = self.styles.partition_point(|span| span.range.start < at);
        let mut here = self.styles[first..].iter().take_while(|span| span.range.start == at);
        here.any(|span| span.style == Style::Directive)
    }
}

/// What is in no link: white space, quotation marks, what steers the direction or is not seen, and the full-width punctuation of
/// scripts without spaces.
fn is_outside(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '<' | '>' | '"' | '`' | '\u{ab}' | '\u{bb}' | '\u{201c}'..='\u{201f}')
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}')
        || matches!(
            c,
            '\u{ff01}' | '\u{ff08}' | '\u{ff09}' | '\u{ff0c}' | '\u{ff1a}' | '\u{ff1b}' | '\u{ff1f}'
        )
        || matches!(c, '\u{feff}' | '\u{fffc}' | '\u{fffd}')
}

/// What people have before the `@`. RFC 5321 allows more, and a text is full of it.
fn is_local(c: char) -> bool {
    c.is_alphanumeric() || extends(c) || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'')
}

fn is_mail(address: &str) -> bool {
    let Some((local, host)) = address.split_once('@') else { return false };
    let top = host.rsplit('.').next().unwrap_or_default();
    (1..=LONGEST_LOCAL).contains(&local.len())
        && local.chars().all(is_local)
        && !local.ends_with('.')
        && host.contains('.')
        && host_length(host) == host.len()
        && top.chars().nth(1).is_some()
        && !top.chars().all(|c| c.is_ascii_digit())
}

/// How many bytes of this are the name of a host: labels of letters, digits and hyphens, in any script.
fn host_length(text: &str) -> usize {
    let (mut end, mut before) = (0, '.');
    for (index, c) in text.char_indices() {
        let is_inner = c == '-' || (c == '.' && before != '-');
        if !(c.is_alphanumeric() || extends(c) || is_inner) || (before == '.' && is_inner) {
            break;
        }
        if !is_inner {
            end = index + c.len_utf8();
        }
        before = c;
    }
    if end <= LONGEST_HOST { end } else { 0 }
}

/// RFC 3966, global and local numbers.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '(' | '*' | '#'))
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-.()*#".contains(&byte))
}

impl Location {
    /// Reads what stands behind `geo:`.
    fn read(text: &str) -> Option<Self> {
        // Android has a question behind it, for what to look for there.
        let text = text.split('?').next()?;
        let mut parts = text.split(';');
        let mut numbers = parts.next()?.split(',');
        let latitude = number(numbers.next()?).filter(|degrees| degrees.abs() <= 90.0)?;
        let longitude = number(numbers.next()?).filter(|degrees| degrees.abs() <= 180.0)?;
        let altitude = numbers.next().map(|text| number(text).ok_or(())).transpose().ok()?;
        if numbers.next().is_some() {
            return None;
        }
        let mut uncertainty = None;
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            if name.eq_ignore_ascii_case("crs") && !value.eq_ignore_ascii_case("wgs84") {
                // Numbers of another system are no degrees.
                return None;
            }
            if name.eq_ignore_ascii_case("u") {
                uncertainty = Some(number(value).filter(|metres| *metres >= 0.0)?);
            }
        }
        Some(Self { latitude, longitude, altitude, uncertainty })
    }
}

/// A number as RFC 5870 §3.3 writes it; not `inf`, nor `1e9`.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.len() <= 32
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}
