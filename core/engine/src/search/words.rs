//! What a text is found by: its words, folded.
//!
//! Here and nowhere else is decided what a word is, for the index, for the rows that are not in it yet, for what the user
//! types and for what is highlighted, so that the four never differ; FTS5 only splits at spaces. Case, accents and the points
//! of Hebrew and Arabic make no difference. Scripts without spaces, and emoji, become pairs of neighbours: a word of two
//! signs, which most Chinese words are, is one pair, and longer ones are pairs in a row. (Three signs, as FTS5's own
//! `trigram` has them, would find no word of two.)

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// More of a word makes no difference, in bytes: whoever writes half a megabyte without a space fills no index with it.
const LONGEST: usize = 64;

/// A word, or a pair of signs.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: String,
    /// Where it stands, in bytes.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Of a pair: where its first sign ends, folded and in the text.
    pub(super) first: Option<(usize, usize)>,
}

/// A sign of a script without spaces, folded, and where it stands.
struct Sign {
    text: String,
    start: usize,
    end: usize,
}

/// The words of a text, in its order.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut signs: Vec<Sign> = Vec::new();
    for (start, c) in text.char_indices() {
        let end = start + c.len_utf8();
        if is_spaceless(c) {
            words.extend(word.take());
            let mut text = String::new();
            fold(c, &mut text);
            signs.push(Sign { text, start, end });
        } else if let (true, Some(last)) = (is_mark(c), signs.last_mut()) {
            fold(c, &mut last.text);
            last.end = end;
        } else if c.is_alphanumeric() || (is_combining_mark(c) && word.is_some()) {
            pair(&mut signs, &mut words);
            let word = word.get_or_insert_with(|| Word { text: String::new(), start, end, first: None });
            if word.text.len() < LONGEST {
                fold(c, &mut word.text);
            }
            word.end = end;
        } else {
            words.extend(word.take());
            pair(&mut signs, &mut words);
        }
    }
    words.extend(word);
    pair(&mut signs, &mut words);
    words.retain(|word| !word.text.is_empty());
    words
}

/// It belongs to the sign before it: among marks are those that voice a kana of half width.
fn is_mark(c: char) -> bool {
    is_combining_mark(c) || matches!(c, '\u{ff9e}' | '\u{ff9f}')
}

/// Each sign with the next one, and the last alone.
fn pair(signs: &mut Vec<Sign>, words: &mut Vec<Word>) {
    for at in 0..signs.len() {
        let Sign { text, start, end } = &signs[at];
        let (mut text, first) = (text.clone(), Some((text.len(), *end)));
        let mut end = *end;
        if let Some(next) = signs.get(at + 1) {
            text.push_str(&next.text);
            end = next.end;
        }
        words.push(Word { text, start: *start, end, first });
    }
    signs.clear();
}

fn fold(c: char, out: &mut String) {
    if c.is_ascii() {
        return out.push(c.to_ascii_lowercase());
    }
    decompose_compatible(c, |part| {
        for c in part.to_lowercase() {
            match c {
                'ß' => out.push_str("ss"),
                'ς' => out.push('σ'),
                c if is_accent(c) => {}
                c if c.is_alphanumeric() || is_combining_mark(c) || is_spaceless(c) => out.push(c),
                _ => {}
            }
        }
    });
}

/// Marks that people leave out when they search: accents, the points of Hebrew and Arabic, how an emoji is to look. Vowels of
/// Indic scripts are marks, too, and stay.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6ed}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}'
    ) && is_combining_mark(c)
}

/// Thai, Lao, Myanmar, Khmer, Tai, kana, Han; emoji and other pictures.
fn is_spaceless(c: char) -> bool {
    let in_blocks = matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{19df}'
        | '\u{1a20}'..='\u{1aaf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3040}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aadf}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{3ffff}'
    );
    let is_picture = matches!(c, '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}');
    is_picture || (in_blocks && c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn case_accents_and_points_make_no_difference() {
        assert_eq!(folded("Don't be LATE, Zoë!"), ["don", "t", "be", "late", "zoe"]);
        for (one, other) in [
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδός"),
            ("İstanbul", "istanbul"),
            ("e\u{301}te\u{301}", "été"),
            ("ｆｕｌｌ", "full"),
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد", "محمد"),
            ("ｶﾞ", "ガ"),
            ("❤\u{fe0f}", "❤"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        // Vowels of Devanagari are marks, and make a difference.
        assert_ne!(folded("की"), folded("का"));
    }

    #[test]
    fn signs_without_spaces_are_found_in_pairs() {
        assert_eq!(folded("東京都 Tower"), ["東京", "京都", "都", "tower"]);
        assert_eq!(folded("在B座"), ["在", "b", "座"]);
        assert_eq!(folded("ok👍🏽"), ["ok", "👍🏽", "🏽"]);
    }

    #[test]
    fn word_says_where_it_stands_and_is_no_longer_than_makes_a_difference() {
        let text = "«Zoë» 東京 ".to_owned() + &"x".repeat(100_000);
        let words = words(&text);
        let shown: Vec<&str> = words.iter().map(|word| &text[word.start..word.end]).collect();
        assert_eq!(shown[..3], ["Zoë", "東京", "京"]);
        assert_eq!((words[3].text.len(), words[3].end), (LONGEST, text.len()));
        assert!(folded("\u{301} … !?").is_empty());
    }
}
