//! Stanzas on their way out, as text.
//!
//! What we send is written once and kept as bytes (a resend sends those bytes again), so that building a tree for it
//! would be work for nothing. A [`Tag`] escapes whatever it is given; it does not check names, which are all ours.

use std::fmt::Write as _;

/// An element being written.
///
/// ```
/// use whimbrel_proto::write::Tag;
/// let message = Tag::new("message").attr("to", "juliet@capulet.lit").child(Tag::new("body").text("a < b"));
/// assert_eq!(message.finish(), "<message to='juliet@capulet.lit'><body>a &lt; b</body></message>");
/// ```
#[derive(Clone, Debug)]
pub struct Tag {
    name: &'static str,
    head: String,
    content: String,
}

impl Tag {
    /// An element in the namespace of its parent.
    pub fn new(name: &'static str) -> Self {
        Self { name, head: format!("<{name}"), content: String::new() }
    }

    /// An element in its own namespace.
    pub fn with_ns(name: &'static str, ns: &str) -> Self {
        Self::new(name).attr("xmlns", ns)
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attr(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let _ = write!(self.head, " {name}='");
        escape_into(&mut self.head, value.as_ref());
        self.head.push('\'');
        self
    }

    /// Adds an attribute if there is a value.
    #[must_use]
    pub fn attr_opt(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Adds text.
    #[must_use]
    pub fn text(mut self, text: impl AsRef<str>) -> Self {
        escape_into(&mut self.content, text.as_ref());
        self
    }

    /// Adds a child.
    #[must_use]
    pub fn child(mut self, child: Tag) -> Self {
        child.write_to(&mut self.content);
        self
    }

    /// Adds a child if there is one.
    #[must_use]
    pub fn child_opt(self, child: Option<Tag>) -> Self {
        match child {
            Some(child) => self.child(child),
            None => self,
        }
    }

    /// Adds what is well-formed XML already, and says its own namespace.
    #[must_use]
    pub fn xml(mut self, xml: &str) -> Self {
        self.content.push_str(xml);
        self
    }

    /// The element as text.
    pub fn finish(self) -> String {
        let mut out = String::with_capacity(self.head.len() + self.content.len() + self.name.len() + 4);
        self.write_to(&mut out);
        out
    }

    /// The element as bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.finish().into_bytes()
    }

    fn write_to(self, out: &mut String) {
        out.push_str(&self.head);
        if self.content.is_empty() {
            out.push_str("/>");
        } else {
            let _ = write!(out, ">{}</{}>", self.content, self.name);
        }
    }
}

/// Whether XML 1.0 can carry this character (§2.2). What it cannot is left out by [`escape_into`].
pub fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Appends `text` in a form that is right in text and in attributes.
pub fn escape_into(out: &mut String, text: &str) {
    out.reserve(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xd;"),
            '\t' => out.push_str("&#x9;"),
            c if is_allowed(c) => out.push(c),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use minidom::Element;

    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same_whatever_the_text() {
        for text in ["plain", "<&>'\"", "line\nbreak", "tab\tand\rreturn", "]]>", "ünïcödé 🐦", ""] {
            let xml = Tag::with_ns("body", "jabber:client").attr("id", text).text(text).finish();
            let element: Element = xml.parse().unwrap();
            assert_eq!(element.text(), text);
            if !text.contains('\n') {
                assert_eq!(element.attr("id").unwrap(), text);
            }
        }
    }

    #[test]
    fn what_xml_cannot_carry_is_left_out() {
        assert_eq!(Tag::new("body").text("a\0b\u{1}c\u{ffff}d").finish(), "<body>abcd</body>");
    }
}
