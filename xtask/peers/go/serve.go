package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
)

// serve offers a directory and says on its first line of output where, so that the bench can wait for it and need not
// choose a port.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	dir := flags.String("dir", ".", "the directory to serve")
	addr := flags.String("addr", "127.0.0.1:0", "the address and port to listen on")
	protocol := flags.String("protocol", "mptcp", "tcp or mptcp")
	if err := flags.Parse(args); err != nil {
		return err
	}
	multipath, err := wantsMultipath(*protocol)
	if err != nil {
		return err
	}
	var config net.ListenConfig
	// Said either way: since Go 1.24 a listener is MPTCP unless told otherwise.
	config.SetMultipathTCP(multipath)
	listener, err := config.Listen(context.Background(), "tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	return http.Serve(listener, http.FileServer(http.Dir(*dir)))
}
