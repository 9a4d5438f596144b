//! Messages there and back, and bytes that are none.

use super::*;

#[test]
fn flags_have_the_kernels_bits() {
    let none = EndpointFlags::default();
    assert_eq!(flags_to_bits(EndpointFlags { signal: true, ..none }), 1);
    assert_eq!(flags_to_bits(EndpointFlags { subflow: true, ..none }), 2);
    assert_eq!(flags_to_bits(EndpointFlags { backup: true, ..none }), 4);
    assert_eq!(flags_to_bits(EndpointFlags { fullmesh: true, ..none }), 8);
    assert_eq!(flags_to_bits(EndpointFlags { implicit: true, ..none }), 16);
    assert_eq!(flags_to_bits(EndpointFlags { laminar: true, ..none }), 32);
}

#[test]
fn every_combination_of_flags_survives_the_way_through_bits() {
    for bits in 0..64 {
        assert_eq!(flags_to_bits(flags_from_bits(bits)), bits);
    }
    assert_eq!(flags_from_bits(1 << 30), EndpointFlags::default());
}

fn round_trip(message: &Message) -> Message {
    let mut buffer = vec![0; message.buffer_len()];
    message.emit(&mut buffer);
    let header = GenlHeader { cmd: message.command, version: VERSION };
    Message::parse_with_param(&buffer, header).expect("what we emit, we can parse")
}

#[test]
fn endpoints_survive_the_way_through_bytes() {
    let flags = EndpointFlags { fullmesh: true, ..EndpointFlags::SUBFLOW };
    for address in [IpAddr::from([192, 0, 2, 1]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])] {
        let endpoint = Endpoint { address, port: Some(8080), id: Some(7), interface: Some(3), flags };
        let message = Message { command: ADD_ADDR, attributes: vec![Attribute::Endpoint(endpoint)] };
        assert_eq!(round_trip(&message), message);
    }
}

#[test]
fn an_endpoint_without_an_address_is_an_error_not_a_panic() {
    let message = Message { command: DEL_ADDR, attributes: vec![Attribute::EndpointId(1)] };
    let mut buffer = vec![0; message.buffer_len()];
    message.emit(&mut buffer);
    let header = GenlHeader { cmd: DEL_ADDR, version: VERSION };
    assert!(Message::parse_with_param(&buffer, header).is_err());
}

#[test]
fn no_truncation_of_a_message_panics() {
    let endpoint = Endpoint::new(IpAddr::from([192, 0, 2, 1]), EndpointFlags::default());
    let message = Message {
        command: GET_ADDR,
        attributes: vec![Attribute::Endpoint(endpoint), Attribute::Subflows(2)],
    };
    let mut buffer = vec![0; message.buffer_len()];
    message.emit(&mut buffer);
    let header = GenlHeader { cmd: GET_ADDR, version: VERSION };
    for length in 1..buffer.len() {
        let parsed = Message::parse_with_param(&buffer[..length], header);
        assert!(parsed.map_or(true, |parsed| parsed != message));
    }
}
