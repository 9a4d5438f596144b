// Peer is the HTTP server and client that `cargo xtask bench http` measures mphttp against: Go's net/http, which has
// had Multipath TCP since Go 1.21, with nothing on top of it.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: peer serve|get|load [flags]")
	}
	switch args[0] {
	case "serve":
		return serve(args[1:])
	case "get":
		return get(args[1:])
	case "load":
		return load(args[1:])
	default:
		return fmt.Errorf("no such verb: %s (serve, get, load)", args[0])
	}
}

// wantsMultipath turns the protocol words of mphttp into Go's yes or no; Go has no word for "MPTCP or nothing".
func wantsMultipath(protocol string) (bool, error) {
	switch protocol {
	case "tcp":
		return false, nil
	case "mptcp":
		return true, nil
	default:
		return false, fmt.Errorf("no such protocol: %s (tcp, mptcp)", protocol)
	}
}
