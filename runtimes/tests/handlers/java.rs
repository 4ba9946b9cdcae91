//! Handlers in Java. Their classes are in `java/cases`.

use crate::case::{Case, Want, Want::*};

/// A case of one handler.
macro_rules! case {
    ($name:literal, $handler:literal, $calls:expr) => {
        Case { name: $name, handler: $handler, calls: $calls, ..Case::JAVA }
    };
}

const PARSING: Want = Fails("java.lang.RuntimeException", "An error occurred during JSON parsing", &[]);
const WRITING: Want =
    Fails("java.lang.RuntimeException", "An error occurred during JSON serialization of response", &[]);

pub const CASES: &[Case] = &[
    case!(
        "events of every kind come back",
        "cases.Values::any",
        &[
            (
                r#"{"a": [1, 2.5, null, true, "x"], "b": {}}"#,
                Returns(r#"{"a":[1,2.5,null,true,"x"],"b":{}}"#)
            ),
            (r#""text""#, Returns(r#""text""#)),
            ("  17  ", Returns("17")),
            ("null", Returns("null")),
            ("123456789012345678901234567890", Returns("123456789012345678901234567890")),
            ("[1e400, -0.0, 1.10]", Returns(r#"["Infinity",-0.0,1.1]"#)),
            (r#"{"d": 1, "d": 2, "n": null}"#, Returns(r#"{"d":2}"#)),
            ("{'single': 'quotes'}", Returns(r#"{"single":"quotes"}"#)),
            ("{bare: 1, b$_2: 2}", Returns(r#"{"bare":1,"b$_2":2}"#)),
            ("[007, -01, 00, 0]", Returns("[7,-1,0,0]")),
            ("[NaN, Infinity, -Infinity]", Returns(r#"["NaN","Infinity","-Infinity"]"#)),
            ("[INF]", Fails("java.lang.RuntimeException", "An error occurred during JSON parsing", &[])),
            ("[-INF]", Returns(r#"["-Infinity"]"#)),
            ("[+1]", Fails("java.lang.RuntimeException", "An error occurred during JSON parsing", &[])),
            ("[+Infinity]", Returns(r#"["Infinity"]"#)),
            ("['\\q']", Returns(r#"["q"]"#)),
            ("[\"a\nb\"]", Returns(r#"["a\nb"]"#)),
            ("[1.]", PARSING),
            ("[.5]", PARSING),
            ("[1 2]", PARSING),
            ("// a comment\n1", PARSING),
            ("[1] and more", Returns("[1]")),
            ("\u{feff}1", Returns("1")),
            ("", PARSING),
            ("{", PARSING),
            ("nul", PARSING),
            ("[1,]", PARSING),
            ("1x", PARSING),
        ]
    ),
    case!(
        "natural numbers",
        "cases.Values::kinds",
        &[(
            "[1, 3000000000, 30000000000000000000, 1.5, true, \"s\", [], {}, null, -2147483648]",
            Returns(
                r#""java.lang.Integer java.lang.Long java.math.BigInteger java.lang.Double java.lang.Boolean java.lang.String java.util.ArrayList java.util.LinkedHashMap null java.lang.Integer ""#
            )
        )]
    ),
    case!(
        "text",
        "cases.Values::text",
        &[
            (r#""\u00e9\ud83d\ude00""#, Returns("\"é\\uD83D\\uDE00!\"")),
            ("1.10", Returns(r#""1.10!""#)),
            ("true", Returns(r#""true!""#)),
            ("null", Returns(r#""null!""#)),
            (r#"["one"]"#, Returns(r#""one!""#)),
            (r#"["one", "two"]"#, PARSING),
            ("{}", PARSING),
        ]
    ),
    case!(
        "whole numbers",
        "cases.Values::number",
        &[
            ("1", Returns("2")),
            (r#""41""#, Returns("42")),
            ("1.9", Returns("2")),
            (r#""""#, Returns("1")),
            ("null", Returns("1")),
            ("3000000000", PARSING),
            ("true", PARSING),
            (r#""x""#, PARSING),
            ("[5]", Returns("6")),
            (r#""1.9""#, Fails("java.lang.RuntimeException", "An error occurred during JSON parsing", &[])),
        ]
    ),
    case!(
        "boxed numbers",
        "cases.Values::boxed",
        &[("3000000000", Returns("3000000000")), ("null", Returns("null")), (r#""""#, Returns("null"))]
    ),
    case!(
        "real numbers",
        "cases.Values::real",
        &[
            ("1", Returns("1.0")),
            (r#""NaN""#, Returns(r#""NaN""#)),
            (r#""-INF""#, Returns(r#""-Infinity""#)),
            ("1e21", Returns("1.0E21"))
        ]
    ),
    case!(
        "truth",
        "cases.Values::truth",
        &[
            ("true", Returns("false")),
            ("0", Returns("true")),
            (r#""False""#, Returns("true")),
            (r#""maybe""#, PARSING),
            ("null", Returns("true"))
        ]
    ),
    case!(
        "letters",
        "cases.Values::letter",
        &[(r#""x""#, Returns("\"x\"")), ("65", Returns(r#""A""#)), (r#""xy""#, PARSING)]
    ),
    case!(
        "decimals",
        "cases.Values::decimal",
        &[("1.10", Returns("1.10")), ("1e5", Returns("1E+5")), (r#""2.50""#, Returns("2.50"))]
    ),
    case!(
        "bytes are base64",
        "cases.Values::bytes",
        &[(r#""AQI=""#, Returns(r#""AgI=""#)), (r#""%%%""#, PARSING)]
    ),
    case!(
        "arrays",
        "cases.Values::numbers",
        &[
            ("[1, 2]", Returns("[1,2]")),
            ("3", Returns("[3]")),
            (r#""""#, Returns("null")),
            ("[]", Returns("[]"))
        ]
    ),
    case!(
        "lists",
        "cases.Values::list",
        &[("[1, null, \"2\"]", Returns("[1,null,2]")), ("7", Returns("[7]"))]
    ),
    case!("sets", "cases.Values::set", &[(r#"["a", "a"]"#, Returns(r#"["a"]"#))]),
    case!(
        "maps",
        "cases.Values::map",
        &[
            (r#"{"a": 1, "b": null}"#, Returns(r#"{"a":1}"#)),
            ("[]", Returns("null")),
            (r#""""#, Returns("null")),
            ("1", PARSING)
        ]
    ),
    case!(
        "sorted maps",
        "cases.Values::sorted",
        &[(r#"{"10": "b", "9": "a"}"#, Returns(r#"{"9":"a","10":"b"}"#)), (r#"{"x": "b"}"#, PARSING)]
    ),
    case!(
        "enums",
        "cases.Values::color",
        &[
            (r#""GREEN""#, Returns(r#""GREEN""#)),
            (r#""BLUE""#, Returns("null")),
            ("0", Returns(r#""RED""#)),
            (r#""leaf""#, Returns("null")),
            ("7", Returns("null"))
        ]
    ),
    case!(
        "enums in maps",
        "cases.Values::colors",
        &[(r#"{"RED": ["GREEN", "x"]}"#, Returns(r#"{"RED":["GREEN",null]}"#))]
    ),
    case!(
        "optional values",
        "cases.Values::optional",
        &[(r#""x""#, Returns(r#""x""#)), ("null", Returns("null"))]
    ),
    case!("nothing", "cases.Values::nothing", &[("\"x\"", Returns("null"))]),
    case!("no value", "cases.Values::none", &[("{", Returns("null"))]),
    case!("no arguments", "cases.Values::noArguments", &[("{", Returns("\"none\""))]),
    case!("only a context", "cases.Values::onlyContext", &[("{", Returns("\"hello\""))]),
    case!("event and context", "cases.Values::both", &[("{\"k\": 1}", Returns("\"1hello\""))]),
    case!(
        "dates",
        "cases.Values::date",
        &[
            ("1500", Returns("1500")),
            (r#""1970-01-01T00:00:01Z""#, Returns("1000")),
            (r#""1970-01-02""#, Returns("86400000")),
            (r#""1970-01-01T00:00:01.500+0100""#, Returns("-3598500")),
            (r#""x""#, PARSING)
        ]
    ),
    case!(
        "instants",
        "cases.Values::instant",
        &[("1.5", Returns("1.500000000")), (r#""1970-01-01T00:00:01Z""#, Returns("1.000000000"))]
    ),
    case!(
        "days",
        "cases.Values::day",
        &[("[2026, 1, 2]", Returns("[2026,1,2]")), (r#""2026-01-02""#, Returns("[2026,1,2]"))]
    ),
    case!(
        "moments",
        "cases.Values::moment",
        &[
            (r#""2026-01-02T03:04:05""#, Returns("[2026,1,2,3,4,5]")),
            ("[2026,1,2,3,4]", Returns("[2026,1,2,3,4]"))
        ]
    ),
    case!(
        "uuids",
        "cases.Values::uuid",
        &[(
            r#""00000000-0000-0001-0000-000000000002""#,
            Returns(r#""00000000-0000-0001-0000-000000000002""#)
        )]
    ),
    case!(
        "odd values",
        "cases.Values::odd",
        &[(
            "\"\"",
            Returns(
                "{\"nan\":\"NaN\",\"infinite\":\"-Infinity\",\"decimal\":1.10,\"small\":1E-10,\"big\":123456789012345678901234567890,\"float\":1.1,\"double\":1.0E21,\"char\":\"c\",\"uri\":\"http://x/\",\"day\":[2026,1,2],\"moment\":[2026,1,2,3,4],\"length\":1.500000000,\"instant\":1.005000000,\"uuid\":\"00000000-0000-0001-0000-000000000002\",\"class\":\"java.lang.String\",\"array\":[1,null,\"x\"],\"letters\":\"ab\",\"empty\":null,\"full\":1,\"color\":\"GREEN\",\"builder\":\"b\",\"list\":[1,null,2.0,[]],\"text\":\"é\u{2028}\\uD83D\\uDE00\u{7f}\\\"\\\\/\\n\\t\\b\\f\\r\\u0001\\u001F<>&'\"}"
            )
        )]
    ),
    case!("a circle", "cases.Values::circle", &[("\"\"", WRITING)]),
    case!("a null key", "cases.Values::nullKey", &[("\"\"", WRITING)]),
    case!("an object without properties", "cases.Values::plainObject", &[("\"\"", Returns("{}"))]),
    case!(
        "beans",
        "cases.Beans::person",
        &[
            (
                r#"{"name": "Ada", "age": 36, "boxed": 1, "active": true, "friends": [{"name": "Bob"}], "scores": {"a": 1}, "secret": "x", "open": "o", "fixed": "changed", "gone": "y", "common": "z", "unknown": {"a": [1]}, "URL": "v", "url": "w"}"#,
                Returns(
                    r#"{"name":"Ada","age":36,"boxed":1,"active":true,"friends":[{"name":"Bob","age":0,"active":false,"fixed":"f","URL":"u","aLower":"l"}],"scores":{"a":1.0},"open":"o","fixed":"changed","URL":"u","aLower":"l"}"#
                )
            ),
            ("{}", Returns(r#"{"age":0,"active":false,"fixed":"f","URL":"u","aLower":"l"}"#)),
            ("null", Returns("null")),
            ("[]", Returns("null")),
            (
                r#"[{"name": "Eve"}]"#,
                Returns(r#"{"name":"Eve","age":0,"active":false,"fixed":"f","URL":"u","aLower":"l"}"#)
            ),
            (r#""""#, Returns("null")),
            (r#""x""#, PARSING),
            (r#"{"age": {}}"#, PARSING),
        ]
    ),
    case!(
        "maps of beans",
        "cases.Beans::people",
        &[(
            r#"{"a": {"name": "Ada"}}"#,
            Returns(r#"{"a":{"name":"Ada","age":0,"active":false,"fixed":"f","URL":"u","aLower":"l"}}"#)
        )]
    ),
    case!(
        "arrays of beans",
        "cases.Beans::array",
        &[(
            r#"{"name": "Ada"}"#,
            Returns(r#"[{"name":"Ada","age":0,"active":false,"fixed":"f","URL":"u","aLower":"l"}]"#)
        )]
    ),
    case!(
        "a subclass behind a declared class",
        "cases.Beans::declaredBase",
        &[("\"\"", Returns(r#"{"inBase":"b","z":"z"}"#))]
    ),
    case!(
        "a subclass behind nothing",
        "cases.Beans::declaredObject",
        &[("\"\"", Returns(r#"{"inBase":"b","inSub":"s","a":"a","z":"z"}"#))]
    ),
    case!(
        "a subclass in a list",
        "cases.Beans::listOfBase",
        &[("\"\"", Returns(r#"[{"inBase":"b","z":"z"}]"#))]
    ),
    case!(
        "type variables",
        "cases.Beans::box",
        &[(
            r#"{"value": {"name": "a"}, "more": [{"name": "b"}]}"#,
            Returns(
                r#"{"value":{"name":"a","age":0,"active":false,"fixed":"f","URL":"u","aLower":"l"},"more":[{"name":"b","age":0,"active":false,"fixed":"f","URL":"u","aLower":"l"}]}"#
            )
        )]
    ),
    case!("a bean that cannot be made", "cases.Beans::noDefault", &[("{}", PARSING), (r#""x""#, PARSING)]),
    case!("a bean that is only written", "cases.Beans::answer", &[("\"x\"", Returns(r#"{"name":"x"}"#))]),
    case!(
        "a bean with a private constructor",
        "cases.Beans::hidden",
        &[(r#"{"name": "x"}"#, Returns(r#"{"name":"x"}"#))]
    ),
    case!("a setter that throws", "cases.Beans::setterThrows", &[(r#"{"name": "x"}"#, PARSING)]),
    case!("a getter that throws", "cases.Beans::getterThrows", &[("\"\"", WRITING)]),
    case!("a bean without properties", "cases.Beans::empty", &[(r#"{"x": 1}"#, Returns("{}"))]),
    case!(
        "subclasses in maps and lists of lists",
        "cases.Beans::nested",
        &[("\"\"", Returns(r#"{"k":[{"inBase":"b","z":"z"}]}"#))]
    ),
    case!(
        "a subclass in a property",
        "cases.Beans::boxed",
        &[(
            "\"\"",
            Returns(
                r#"{"value":{"inBase":"b","inSub":"s","a":"a","z":"z"},"more":[{"inBase":"b","inSub":"s","a":"a","z":"z"}]}"#
            )
        )]
    ),
    case!("a map in a bean with nulls", "cases.Beans::nulls", &[("\"\"", Returns(r#"{"value":{}}"#))]),
    case!("a record is written", "cases.Beans::pairOut", &[("\"l\"", Returns(r#"{"left":"l","right":1}"#))]),
    case!(
        "a record is read",
        "cases.Beans::pairIn",
        &[(
            r#"{"left": "l", "right": 2}"#,
            Fails("java.lang.RuntimeException", "An error occurred during JSON parsing", &[])
        )]
    ),
    case!("an interface cannot be made", "cases.Beans::named", &[("{}", PARSING)]),
    case!("an interface is written", "cases.Beans::anonymous", &[("\"x\"", Returns(r#"{"name":"x"}"#))]),
    case!("a handler of maps", "cases.Forms$Maps", &[(r#"{"k": [1]}"#, Returns("\"[1]\""))]),
    case!("a handler of streams", "cases.Forms$Streams", &[("not JSON", Returns("<not JSON>"))]),
    Case {
        differs: Some(
            "it does not look for variables inside of type arguments, and fails with a ClassCastException",
        ),
        ..case!("a handler by inheritance", "cases.Forms$Concrete", &[("[1]", Returns("\"java.lang.Long\""))])
    },
    case!(
        "a handler method of a handler class",
        "cases.Forms$Maps::handleRequest",
        &[(r#"{"k": 2}"#, Returns("\"2\""))]
    ),
    case!("a bounded variable", "cases.Forms$Bounded", &[(r#"{"inBase": "x"}"#, Returns("\"x\""))]),
    case!(
        "an unbounded variable",
        "cases.Forms$Unbounded",
        &[(
            "{}",
            Fails(
                "",
                "Class cases.Forms$Unbounded does not implement RequestHandler with concrete type parameters: parameter T has no upper bound.",
                &[]
            )
        )]
    ),
    case!(
        "a raw handler",
        "cases.Forms$Raw",
        &[(
            "{}",
            Fails(
                "",
                "Class cases.Forms$Raw does not implement RequestHandler with concrete type parameters",
                &[]
            )
        )]
    ),
    case!(
        "no handler",
        "cases.Forms$Nothing",
        &[
            (
                "{}",
                Fails(
                    "",
                    "Class does not implement an appropriate handler interface: cases.Forms$Nothing",
                    &[]
                )
            ),
            (
                "{}",
                Fails(
                    "",
                    "Class does not implement an appropriate handler interface: cases.Forms$Nothing",
                    &[]
                )
            )
        ]
    ),
    case!(
        "an inner class",
        "cases.Forms$Inner",
        &[(
            "{}",
            Fails(
                "java.lang.Exception",
                "Class cases.Forms$Inner cannot be instantiated because it is a non-static inner class",
                &[]
            )
        )]
    ),
    case!(
        "a private constructor",
        "cases.Forms$Private",
        &[(
            "{}",
            Fails(
                "java.lang.Exception",
                "Class cases.Forms$Private has no public zero-argument constructor",
                &[]
            )
        )]
    ),
    case!(
        "a constructor that throws",
        "cases.Forms$FailsToStart",
        &[("{}", InitFails("java.lang.IllegalStateException", "not today", &[]))]
    ),
    case!(
        "a class that fails to load",
        "cases.Forms$FailsToLoad",
        &[(
            "{}",
            InitFails(
                "java.lang.ExceptionInInitializerError",
                "Error loading class cases.Forms$FailsToLoad",
                &[]
            )
        )]
    ),
    case!(
        "a class that is not there",
        "cases.Missing",
        &[("{}", Fails("java.lang.ClassNotFoundException", "Class not found: cases.Missing", &[]))]
    ),
    case!(
        "a method of a class that is not there",
        "cases.Missing::x",
        &[("{}", Fails("java.lang.ClassNotFoundException", "Class not found: cases.Missing", &[]))]
    ),
    case!(
        "a method that is not there",
        "cases.Forms::missing",
        &[(
            "{}",
            Fails(
                "",
                "No public method named missing with appropriate method signature found on class cases.Forms",
                &[]
            )
        )]
    ),
    case!(
        "a private method",
        "cases.Forms::unseen",
        &[(
            "{}",
            Fails(
                "",
                "No public method named unseen with appropriate method signature found on class cases.Forms",
                &[]
            )
        )]
    ),
    case!(
        "a method with other parameters",
        "cases.Forms::wrong",
        &[(
            "{}",
            Fails(
                "",
                "No public method named wrong with appropriate method signature found on class cases.Forms",
                &[]
            )
        )]
    ),
    case!("half a handler", "cases.Forms::", &[("{}", Fails("", "Invalid handler: `cases.Forms::'", &[]))]),
    case!("a static method", "cases.Forms::statically", &[("\"x\"", Returns("\"static x\""))]),
    case!("streams in a method", "cases.Forms::streams", &[("raw", Returns("raw"))]),
    case!("streams and a context", "cases.Forms::streamsContext", &[("raw", Returns("hello"))]),
    case!("an input stream", "cases.Forms::input", &[("raw", Returns("null"))]),
    case!("an output stream and a context", "cases.Forms::output", &[("raw", Returns("\"out\""))]),
    Case {
        log: &["Will ignore return type int on byte stream handler"],
        ..case!("streams and a result", "cases.Forms::returns", &[("raw", Returns("raw"))])
    },
    case!("the longest of many methods", "cases.Forms::many", &[("\"x\"", Returns("\"two\""))]),
    Case {
        log: &[
            "local mine: cases.Deeds$Own\ncases.Deeds$Own: local mine\n\tat cases.Deeds.deep(Deeds.java:",
            "Caused by: java.lang.IllegalStateException: cause",
        ],
        ..case!(
            "errors",
            "cases.Deeds::fails",
            &[
                ("\"own\"", Fails("cases.Deeds$Own", "local mine", &["Deeds.java:19", "Deeds.java:39"])),
                (
                    "\"silent\"",
                    Fails(
                        "java.lang.IllegalStateException",
                        "java.lang.IllegalStateException",
                        &["Deeds.java:21", "Deeds.java:39"]
                    )
                ),
                ("\"checked\"", Fails("java.lang.Exception", "checked", &["Deeds.java:23", "Deeds.java:39"])),
                (
                    "\"error\"",
                    Fails("java.lang.AssertionError", "asserted", &["Deeds.java:26", "Deeds.java:39"])
                ),
                (
                    "\"null\"",
                    Fails(
                        "java.lang.NullPointerException",
                        r#"Cannot invoke "Object.hashCode()" because "null" is null"#,
                        &["Deeds.java:31", "Deeds.java:39"]
                    )
                ),
            ]
        )
    },
    case!("exit", "cases.Deeds::fails", &[("\"exit\"", Exits(7))]),
    Case {
        env: &[("MINE", "1")],
        ..case!(
            "the context",
            "cases.Deeds::context",
            &[(
                "\"\"",
                Returns(
                    r#""[36, /aws/lambda/hello, stream, hello, $LATEST, arn:aws:lambda:us-east-1:000000000000:function:hello, true, t, null, {k=v}, null, 128, true, null, Root=1-2-3, Root=1-2-3, main, true, true, 1]""#
                )
            )]
        )
    },
    Case {
        log: &["out é\n", "err\n"],
        ..case!("printing", "cases.Deeds::logs", &[("\"\"", Returns("\"logged\""))])
    },
    case!(
        "interruptions end with the call",
        "cases.Deeds::interrupts",
        &[("\"\"", Returns("\"false\"")), ("\"\"", Returns("\"false\""))]
    ),
    case!("resources", "cases.Deeds::resource", &[("\"\"", Returns(r#""trueAppClassLoader""#))]),
    case!("the largest answer", "cases.Values::large", &[("6291554", ReturnsLetters(6_291_554))]),
    Case {
        differs: Some("it leaves the size to the platform"),
        ..case!(
            "an answer that is too large",
            "cases.Values::large",
            &[
                (
                    "6291555",
                    Fails(
                        "Function.ResponseSizeTooLarge",
                        "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
                        &[]
                    )
                ),
                ("1", Returns("\"x\""))
            ]
        )
    },
    case!(
        "a stack that is too deep ends the process",
        "cases.Deeds::overflows",
        &[("\"\"", Fails("java.lang.StackOverflowError", "deep", &["Deeds.java:44"]))]
    ),
];
