use super::*;

/// The spans as text, each with its style's name, without what only makes them.
fn styles(text: &str) -> Vec<(&'static str, &str)> {
    let spans = read(text, false, &[]).spans;
    let shown = spans.into_iter().filter(|span| span.style != Style::Directive);
    shown.map(|span| (name(&span.style), &text[span.range])).collect()
}

fn name(style: &Style) -> &'static str {
    match style {
        Style::Directive => "directive",
        Style::Strong => "strong",
        Style::Emphasis => "emphasis",
        Style::Strike => "strike",
        Style::Mono => "mono",
        Style::Preformatted => "preformatted",
        Style::Quote => "quote",
        Style::Link { .. } => "link",
        Style::Location(_) => "location",
        Style::Mention { .. } => "mention",
    }
}

/// What is dimmed or left out.
fn directives(text: &str) -> Vec<&str> {
    let spans = read(text, false, &[]).spans;
    spans.into_iter().filter(|span| span.style == Style::Directive).map(|span| &text[span.range]).collect()
}

/// Where the links of a text lead.
fn links(text: &str) -> Vec<String> {
    let spans = read(text, true, &[]).spans;
    let link = |span: Span| match span.style {
        Style::Link { url } => url,
        style => format!("{style:?}"),
    };
    spans.into_iter().map(link).collect()
}

#[test]
fn spans_of_xep_0393() {
    assert_eq!(styles("plain span"), []);
    assert_eq!(styles("*strong span*"), [("strong", "*strong span*")]);
    assert_eq!(styles("plain _emphasis_ plain"), [("emphasis", "_emphasis_")]);
    assert_eq!(styles("`pre` plain *strong*"), [("mono", "`pre`"), ("strong", "*strong*")]);
    assert_eq!(styles("*strong*plain*"), [("strong", "*strong*")]);
    assert_eq!(styles("* plain *strong*"), [("strong", "*strong*")]);
    for plain in ["not strong*", "*not strong", "*not \n strong*", "*not *strong", "**", "***", "****"] {
        assert_eq!(styles(plain), [], "{plain}");
    }
    assert_eq!(styles("Two spans, both *alike in dignity*"), [("strong", "*alike in dignity*")]);
    let title = "The full title is _Twelfth Night, or What You Will_ but\n_most_ people shorten it.";
    assert_eq!(styles(title), [("emphasis", "_Twelfth Night, or What You Will_"), ("emphasis", "_most_")]);
    assert_eq!(styles("Everyone ~dis~likes cake."), [("strike", "~dis~")]);
    assert_eq!(styles("This is `*monospace*`"), [("mono", "`*monospace*`")]);
    assert_eq!(
        styles("This is *`monospace and bold`*"),
        [("strong", "*`monospace and bold`*"), ("mono", "`monospace and bold`")]
    );
}

#[test]
fn blocks_of_xep_0393() {
    let three = "There are three blocks in this body, one per line,\nbut there is no *formatting\nas spans* may not escape blocks.";
    assert_eq!(styles(three), []);
    let code = "```ignored\n(println \"Hello, *world*!\")\n```\n\nThis should show up as *monospace*, preformatted text";
    assert_eq!(
        styles(code),
        [("preformatted", "```ignored\n(println \"Hello, *world*!\")\n```"), ("strong", "*monospace*")]
    );
    assert_eq!(directives(code), ["```", "```", "*", "*"]);
    let unclosed = "> ```\n> (println \"Hello, world!\")\n\nThe entire blockquote is a preformatted text block, but this line\nis plaintext!";
    assert_eq!(
        styles(unclosed),
        [
            ("quote", "> ```\n> (println \"Hello, world!\")"),
            ("preformatted", "```\n> (println \"Hello, world!\")")
        ]
    );
    assert_eq!(directives(unclosed), [">", "```", ">"]);
    assert_eq!(
        styles("> That that is, is.\n\nSaid the old hermit of Prague."),
        [("quote", "> That that is, is.")]
    );
    assert_eq!(
        styles(">> That that is, is.\n> Said the old hermit of Prague.\n\nWho?"),
        [
            ("quote", ">> That that is, is.\n> Said the old hermit of Prague."),
            ("quote", "> That that is, is.")
        ]
    );
    // §6: what is not meant to be styled.
    assert_eq!(styles("> _ <"), [("quote", "> _ <")]);
    assert_eq!(read("> _ <", true, &[]).spans, []);
}

#[test]
fn spans_begin_and_end_where_the_rules_say() {
    assert_eq!(styles("snake_case_name and 2*3*4"), []);
    assert_eq!(styles("*_~`all`~_*").len(), 4);
    assert_eq!(styles("*_~`all`~_*")[3], ("mono", "`all`"));
    assert_eq!(styles("*this _is* wrong_"), [("strong", "*this _is*")]);
    assert_eq!(styles("`*a` b*"), [("mono", "`*a`")]);
    assert_eq!(styles("**a*"), [], "without text between two of them both are text");
    assert_eq!(styles("*a *b*"), [("strong", "*a *b*")]);
    assert_eq!(
        styles("*em*, _and_\u{3000}~so~"),
        [("strong", "*em*"), ("emphasis", "_and_"), ("strike", "~so~")]
    );
    assert_eq!(styles("*not\u{a0}*"), [], "white space of every kind");
    assert_eq!(styles("*a _b* _c_"), [("strong", "*a _b*"), ("emphasis", "_c_")]);
    assert_eq!(styles("a ```b``` c"), []);
    // A quote ends what is in it.
    assert_eq!(styles("> *a\n> b*\n> _c_"), [("quote", "> *a\n> b*\n> _c_"), ("emphasis", "_c_")]);
    assert_eq!(
        styles(">>a\n```\n>b").iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["quote", "quote", "preformatted"]
    );
    assert_eq!(styles("```\n````\n``` \n```"), [("preformatted", "```\n````\n``` \n```")]);
    assert_eq!(styles(&format!("{}x", ">".repeat(100))).len(), 8);
}

#[test]
fn nothing_is_cut_within_a_character() {
    // A key is not half of a style, and neither is what a mark has made another character.
    assert_eq!(styles("*\u{fe0f}\u{20e3} one *\u{fe0f}\u{20e3}"), []);
    assert_eq!(styles("*\u{338}no*"), []);
    assert_eq!(styles(">\u{338} not less"), []);
    assert_eq!(styles("*yes*\u{338}*"), [("strong", "*yes*\u{338}*")]);
    // Right to left it is the same, by the order of what was written.
    assert_eq!(
        styles("\u{5e9}\u{5dc}\u{5d5}\u{5dd} *\u{5e2}\u{5d5}\u{5dc}\u{5dd}*"),
        [("strong", "*\u{5e2}\u{5d5}\u{5dc}\u{5dd}*")]
    );
}

#[test]
fn links_as_people_write_them() {
    for (text, link) in [
        ("https://example.org", "https://example.org"),
        ("see (https://example.org/a_(b)), and", "https://example.org/a_(b)"),
        ("HTTP://Example.ORG/?q=a&b=c#d.", "HTTP://Example.ORG/?q=a&b=c#d"),
        ("<https://example.org/>", "https://example.org/"),
        ("\u{ab}https://example.org/\u{bb}", "https://example.org/"),
        ("https://example.org/it's!?", "https://example.org/it's"),
        ("https://[2001:db8::1]:8080/x,", "https://[2001:db8::1]:8080/x"),
        ("[text](https://example.org/a)", "https://example.org/a"),
        ("https://b\u{fc}cher.example/\u{df}", "https://b\u{fc}cher.example/\u{df}"),
        ("https://\u{4f8b}\u{3048}.jp/\u{9053}\u{3002}\u{305d}", "https://\u{4f8b}\u{3048}.jp/\u{9053}"),
        (
            "https://\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}.example",
            "https://\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}.example",
        ),
        ("www.example.org.", "https://www.example.org"),
        ("WWW.example.org/a?", "https://WWW.example.org/a"),
        ("write to romeo@montague.lit.", "mailto:romeo@montague.lit"),
        ("<j\u{fc}rgen+x@b\u{fc}cher.example>", "mailto:j\u{fc}rgen+x@b\u{fc}cher.example"),
        ("mailto:romeo@montague.lit?subject=hi,", "mailto:romeo@montague.lit?subject=hi"),
        ("xmpp:juliet@capulet.lit?message;body=hi", "xmpp:juliet@capulet.lit?message;body=hi"),
        ("(xmpp:juliet@capulet.lit)", "xmpp:juliet@capulet.lit"),
        ("tel:+1-201-555-0123;ext=7.", "tel:+1-201-555-0123;ext=7"),
    ] {
        assert_eq!(links(text).concat(), link, "{text}");
    }
    let two = "https://example.org https://example.com/";
    assert_eq!(links(two), ["https://example.org", "https://example.com/"]);
}

#[test]
fn links_and_styles_meet() {
    assert_eq!(
        styles("*https://example.org/a*"),
        [("strong", "*https://example.org/a*"), ("link", "https://example.org/a")]
    );
    assert_eq!(styles("_romeo@montague.lit_")[1], ("link", "romeo@montague.lit"));
    assert_eq!(styles("https://example.org/_a_ b"), [("link", "https://example.org/_a_")]);
    assert_eq!(styles("`https://example.org` www.example.org")[1], ("link", "www.example.org"));
    assert_eq!(styles("```\nhttps://example.org"), [("preformatted", "```\nhttps://example.org")]);
    assert_eq!(styles("> https://example.org\nyes")[1], ("link", "https://example.org"));
}

#[test]
fn geo_links_are_places() {
    let place = |text: &str| match read(text, false, &[]).spans.pop() {
        Some(Span { style: Style::Location(location), .. }) => Some(location),
        _ => None,
    };
    // RFC 5870 §1, §6.
    let vienna = place("geo:13.4125,103.8667").unwrap();
    assert_eq!((vienna.latitude, vienna.longitude, vienna.altitude), (13.4125, 103.8667, None));
    assert_eq!(place("geo:48.2010,16.3695,183").unwrap().altitude, Some(183.0));
    assert_eq!(place("geo:90,-22.43;crs=WGS84").unwrap().longitude, -22.43);
    let unsure = place("see (GEO:66,30;u=6.500;FOo=this%2dthat).").unwrap();
    assert_eq!((unsure.latitude, unsure.uncertainty), (66.0, Some(6.5)));
    assert!(place("geo:48.2,16.3?z=11").is_some());
    for nowhere in [
        "geo:91,0",
        "geo:0,181",
        "geo:1",
        "geo:1,2,3,4",
        "geo:nan,0",
        "geo:inf,0",
        "geo:1e1,0",
        "geo:+1,0",
        "geo:1.,0",
        "geo:1,2;u=-1",
        "geo:1,2;u=x",
        "geo:1,2;crs=moon-2011",
    ] {
        assert_eq!(place(nowhere), None, "{nowhere}");
    }
}

fn mention(begin: u32, end: u32) -> Mention {
    Mention { begin, end, uri: "xmpp:juliet@capulet.lit".into() }
}

#[test]
fn mentions_count_code_points_and_hold_or_are_dropped() {
    let body = "But, soft! what light through yonder window breaks? It is the east, and Juliet is the sun.";
    let found = read(body, false, &[mention(72, 78)]).spans;
    assert_eq!(&body[found[0].range.clone()], "Juliet");
    assert_eq!(found[0].style, Style::Mention { whom: "juliet@capulet.lit".parse().unwrap() });
    let body = "\u{1f469}\u{200d}\u{1f4bb} J\u{fc}li\u{301}t!";
    let text = |mentions: &[Mention]| {
        read(body, false, mentions).spans.into_iter().map(|span| &body[span.range]).collect::<Vec<_>>()
    };
    assert_eq!(text(&[mention(4, 10)]), ["J\u{fc}li\u{301}t"]);
    assert_eq!(text(&[mention(4, 8)]), ["J\u{fc}li\u{301}"], "what is cut in two is taken whole");
    assert_eq!(text(&[mention(2, 4)]), ["\u{1f469}\u{200d}\u{1f4bb} "]);
    assert_eq!(text(&[mention(4, 11)]), ["J\u{fc}li\u{301}t!"], "up to the end");
    let dropped = [mention(4, 12), mention(99, 100), mention(6, 5), mention(5, 5), mention(4, u32::MAX)];
    assert_eq!(text(&dropped), Vec::<&str>::new());
    assert_eq!(text(&[mention(6, 10), mention(4, 7)]), ["J\u{fc}l"], "what overlaps is dropped");
    for uri in ["juliet@capulet.lit", "https://example.org", "xmpp:", "xmpp://a@b", ""] {
        assert_eq!(text(&[Mention { uri: uri.into(), ..mention(4, 10) }]), Vec::<&str>::new(), "{uri}");
    }
}

#[test]
fn mentions_move_with_the_text_when_a_quote_is_taken_out() {
    let body = "> Nurse, where is she?\nNurse, J\u{fc}liet is gone";
    let content =
        |quoted| Content { quoted, mentions: vec![mention(2, 7), mention(30, 36)], ..Content::default() };
    let mentioned = |content: &Content| {
        let (text, looks) = shown(body, content);
        let mentions = looks.spans.into_iter().filter(|span| name(&span.style) == "mention");
        let mentions: Vec<_> = mentions.map(|span| text[span.range].to_owned()).collect();
        (text.into_owned(), mentions)
    };
    let answer = ("Nurse, J\u{fc}liet is gone".to_owned(), vec!["J\u{fc}liet".to_owned()]);
    assert_eq!(mentioned(&content(Some((0, 23)))), answer);
    let whole = (body.to_owned(), vec!["Nurse".to_owned(), "J\u{fc}liet".to_owned()]);
    assert_eq!(mentioned(&content(None)), whole);
    assert_eq!(mentioned(&content(Some((0, 99)))), whole, "a range that is nowhere takes nothing away");
}

#[test]
fn actions_of_xep_0245() {
    assert!(read("/me shrugs in disgust", false, &[]).is_action);
    for other in [
        "/meshrugs in disgust",
        "/me's disgusted",
        " /me shrugs in disgust",
        "\"/me shrugs in disgust\"",
        "* Atlas shrugs in disgust",
        "Why did Atlas say \"/me shrugs in disgust\"?",
        "/me",
    ] {
        assert!(!read(other, false, &[]).is_action, "{other}");
    }
}

#[test]
fn few_emoji_and_nothing_else() {
    for emoji in [
        "\u{1f600}",
        " \u{1f600}\n\u{1f600} ",
        "\u{2764}\u{fe0f}",
        "\u{1f44d}\u{1f3fd}",
        "\u{261d}\u{1f3fd}",
        "\u{1f1e9}\u{1f1ea}\u{1f1fa}\u{1f1f3}",
        "1\u{fe0f}\u{20e3}#\u{20e3}",
        "\u{1f468}\u{200d}\u{1f468}\u{200d}\u{1f466}\u{200d}\u{1f466}",
        "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
        "\u{2764}\u{200d}\u{1f525}",
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        "\u{1f9d1}\u{1f3fb}\u{200d}\u{2764}\u{fe0f}\u{200d}\u{1f48b}\u{200d}\u{1f9d1}\u{1f3ff}",
        &"\u{1f600}".repeat(10),
    ] {
        assert!(read(emoji, false, &[]).emoji_only, "{emoji}");
    }
    for other in [
        "",
        "  ",
        "7",
        "a",
        "\u{1f600}!",
        "\u{1f600} ok",
        "\u{a9}",
        "\u{2764}",
        "\u{1f1e9}",
        "\u{1f600}\u{200d}",
        "\u{1f600}\u{fe0e}",
        "\u{200d}",
        "\u{5d0}",
        "1\u{fe0f}",
        &"\u{1f600}".repeat(11),
        &format!("\u{1f600}{}", "\u{e0061}".repeat(10_000)),
    ] {
        assert!(!read(other, false, &[]).emoji_only, "{other}");
    }
}

#[test]
fn shells_count_in_utf_16() {
    let body = "\u{1f9db}\u{1f3fe} *\u{fc}* `c` \u{1f1fa}\u{1f1f3}";
    let spans = read(body, false, &[mention(11, 13)]).spans;
    let units: Vec<u16> = body.encode_utf16().collect();
    let shown: Vec<_> =
        utf16(body, &spans).into_iter().map(|range| String::from_utf16(&units[range]).unwrap()).collect();
    let bytes: Vec<_> = spans.into_iter().map(|span| body[span.range].to_owned()).collect();
    assert_eq!(shown, bytes);
    assert_eq!(shown, ["*\u{fc}*", "*", "*", "`c`", "`", "`", "\u{1f1fa}\u{1f1f3}"]);
}

mod hostile {
    use super::*;

    #[test]
    fn regex_and_link_traps() {
        for text in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,x",
            "git+https://example.org",
            "xhttps://example.org",
            "http:",
            "http:example.org",
            "https://",
            "https:// example.org",
            "https://.",
            "http://\u{202e}gro.elpmaxe",
            "xmpp:",
            "xmpp:juli%E2%80%AEet@capulet.lit",
            "xmpp:@a.b",
            "mailto:nobody",
            "tel:me",
            "geo:north,west",
            "www.example",
            "www..org",
            "a@b",
            "@example.org",
            "a@b.c",
            "a@1.2.3.44",
            "a@-b.org",
            "a.@b.org",
            "10:30",
        ] {
            assert_eq!(links(text), Vec::<String>::new(), "{text}");
        }
        // What is shown is where it leads: what turns the direction ends it.
        assert_eq!(links("https://a.example/\u{202e}gro.doog"), ["https://a.example/"]);
        let long = format!("{}@example.org", "a".repeat(65));
        assert_eq!(links(&long), Vec::<String>::new());
    }

    /// Twice as long takes twice as long: were it squared, one of these would take an hour.
    #[test]
    fn text_bomb() {
        const LENGTH: usize = 512 * 1024;
        let pieces = [
            "*",
            "_",
            ">",
            "`",
            "~",
            "```",
            "``` ",
            "```\n",
            "[",
            "(",
            ")",
            "]",
            "@",
            ":",
            ".",
            "\n",
            "> ",
            ">\n",
            "> ```\n",
            "*a* ",
            " *a",
            " _*~`a",
            "a* ",
            "*a_",
            "\u{301}",
            "*\u{301}",
            "a@",
            "a@b.",
            "a@b-",
            "@b.c",
            "http://",
            "http://a(",
            "https:",
            "www.",
            "www.a",
            "xmpp:",
            "xmpp:a@b ",
            "xmpp:a.b%",
            "mailto:",
            "mailto:a@",
            "tel:",
            "tel:1,",
            "geo:",
            "geo:1,1,",
            "geo:1;u=1;",
            "/me ",
            "\u{1f600}",
            "\u{200d}",
            "\u{1f1e9}",
            "\u{202e}",
            "\u{4f8b}",
            "www.a.b ",
            "\u{0}",
        ];
        let mentions: Vec<_> = (0..4_000).map(|at| mention(at % 1_000, at * 100)).collect();
        for piece in pieces {
            let text = piece.repeat(LENGTH / piece.len());
            let content =
                Content { quoted: Some((9, 99_999)), mentions: mentions.clone(), ..Content::default() };
            let (shown, looks) = shown(&text, &content);
            assert!(shown.len() < text.len());
            assert!(looks.spans.len() <= 4 * MOST, "{piece}: {}", looks.spans.len());
            assert_eq!(utf16(&shown, &looks.spans).len(), looks.spans.len());
        }
    }
}
