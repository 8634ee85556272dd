use super::template::{Template, Writing};
use super::*;

fn filled(text: &str, data: &Data, row: usize, writing: Writing) -> String {
    let template = Template::parse(text, data.columns(), true, "path").unwrap();
    let mut out = Vec::new();
    template.write_as(writing, Values { row: Some(data.row(row)), tenant: "acme" }, &mut out);
    String::from_utf8(out).unwrap()
}

fn csv(text: &str) -> Result<Data, String> {
    Data::from_csv(text, Order::Cycled)
}

#[test]
fn placeholders_are_filled_in_and_stay_one_part_of_a_path() {
    let data = csv("id,name\n7,\"Smith, J/D?\"\n8,x\n").unwrap();
    assert_eq!((data.rows(), data.columns().len()), (2, 2));
    assert_eq!(
        filled("/u/{{id}}/{{ name }}?t={{tenant}}", &data, 0, Writing::Percent),
        "/u/7/Smith%2C%20J%2FD%3F?t=acme"
    );
    assert_eq!(filled("{\"name\": \"{{name}}\"}", &data, 0, Writing::Plain), "{\"name\": \"Smith, J/D?\"}");
    assert_eq!(filled("{{id}}{{id}}", &data, 1, Writing::Plain), "88");
}

#[test]
fn a_placeholder_that_no_column_is_called_like_is_refused_with_those_there_are() {
    let data = csv("id,name\n7,a\n").unwrap();
    let refused =
        |text| Template::parse(text, data.columns(), false, "path of request a").unwrap_err().to_string();
    assert_eq!(refused("/{{nmae}}"), "placeholder in path of request a is {{nmae}}, allowed is id, name");
    assert!(refused("/{{tenant}}").contains("allowed is id, name"));
    assert!(refused("/{{id").contains("each {{ has its }}"));
}

#[test]
fn csv_is_read_with_quotes_line_breaks_and_either_line_end() {
    let data = csv("\u{feff}a, b\r\n\"x\"\"y\",\"1\n2\"\r\n\r\n,last").unwrap();
    assert_eq!(data.columns(), ["a", "b"]);
    let rows: Vec<[&str; 2]> =
        (0..data.rows()).map(|row| [0, 1].map(|column| data.row(row).value(column))).collect();
    assert_eq!(rows, [["x\"y", "1\n2"], ["", "last"]]);
}

#[test]
fn a_wrong_file_of_data_is_refused_with_its_line() {
    for (text, why) in [
        ("", "is empty"),
        ("a,b\n", "no row"),
        ("a,b\n1,2\n3\n", "line 3 has 1 values"),
        ("a,a\n1,2\n", "column 2 is called \"a\""),
        ("a\n\"x\n", "line 2: a quote is not closed"),
        ("a\n\"x\"y\n", "line 2: text behind a closing quote"),
    ] {
        let refused = csv(text).unwrap_err();
        assert!(refused.contains(why), "{text:?}: {refused}");
    }
    let wide = format!("{}\n", vec!["x"; 101].join(","));
    assert!(csv(&wide).unwrap_err().contains("more than 100"));
    let missing = Data::from_json_lines("{\"a\": 1}\n\n{\"b\": 2}\n", Order::Cycled).unwrap_err();
    assert_eq!(missing, "line 3 has no field a");
    assert!(
        Data::from_json_lines("{\"a\": 1}\nnonsense\n", Order::Cycled).unwrap_err().starts_with("line 2: ")
    );
}

#[test]
fn json_lines_keep_text_as_text_and_the_rest_as_json() {
    let data = Data::from_json_lines("{\"a\": \"x y\", \"b\": {\"c\": [1]}}\n", Order::Sampled).unwrap();
    assert_eq!((data.row(0).value(0), data.row(0).value(1)), ("x y", "{\"c\":[1]}"));
}

#[test]
fn a_mix_reads_the_same_from_toml_and_json() {
    let toml = "[[request]]\nname = \"read\"\nweight = 9\npath = \"/a\"\n\n[[request]]\nmethod = \"POST\"\n\
                path = \"/b\"\nheaders = { content-type = \"text/plain\" }\nbody = \"hi\"\n";
    let json = r#"{"request": [{"name": "read", "weight": 9, "path": "/a"},
        {"method": "POST", "path": "/b", "headers": {"content-type": "text/plain"}, "body": "hi"}]}"#;
    let (toml, json) = (Mix::from_toml(toml).unwrap(), Mix::from_json(json).unwrap());
    assert_eq!(toml, json);
    assert_eq!((toml[0].weight, toml[1].name.as_str(), toml[1].body.as_str()), (9.0, "POST /b", "hi"));
    assert!(Mix::from_toml("[[request]]\nwieght = 1\n").unwrap_err().contains("wieght"));
}

fn refused(change: impl FnOnce(&mut Request)) -> String {
    let mut request = Request::get("/a");
    change(&mut request);
    Mix::new(vec![request]).unwrap().drafts("/", None).unwrap_err().to_string()
}

#[test]
fn a_request_that_http_does_not_allow_is_refused_by_name() {
    assert!(refused(|request| request.path = "/a b".into()).starts_with("path of request /a is /a b"));
    assert!(refused(|request| request.method = "G T".into()).starts_with("method of request /a is G T"));
    assert!(refused(|request| request.headers = vec![("x".into(), "a\r\nb".into())]).contains("one line"));
    assert!(
        refused(|request| request.headers = vec![("Content-Length".into(), "5".into())]).contains("left out")
    );
    let none = Mix::new(vec![]).unwrap_err().to_string();
    assert_eq!(none, "requests is 0, allowed is 1 to 1,000");
}

#[test]
fn data_that_would_break_a_header_is_refused_with_its_row() {
    let data = csv("token\ngood\n\"b\nad\"\n").unwrap();
    let mut request = Request::get("/a");
    request.headers = vec![("authorization".into(), "Bearer {{token}}".into())];
    let mix = Mix::new(vec![request]).unwrap().with_data(data);
    let refused = mix.drafts("", None).unwrap_err().to_string();
    assert_eq!(
        refused,
        "{{token}} in header authorization of request /a is \"b\\nad\" in row 2, allowed is one line"
    );
}

#[test]
fn results_are_kept_for_the_heaviest_tenants_and_the_others_are_summed() {
    let list: Vec<Tenant> =
        (0..100).map(|number| Tenant { name: format!("t{number}"), weight: f64::from(number + 1) }).collect();
    let tenants = Tenants::new(list, Some("X-Tenant")).unwrap();
    assert_eq!((tenants.names().len(), tenants.names()[0].as_str(), tenants.others()), (32, "t99", 68));
    assert_eq!((tenants.place(99), tenants.place(98), tenants.place(0), tenants.place(67)), (0, 1, 32, 32));
    let twice = vec![Tenant { name: "a".into(), weight: 1.0 }, Tenant { name: "a".into(), weight: 2.0 }];
    assert!(Tenants::new(twice, None).unwrap_err().to_string().contains("a twice"));
}
