package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// dialer makes connections of the wanted protocol and remembers what they turned out to speak.
type dialer struct {
	net.Dialer
	connections, multipath atomic.Int64
	lastConnect            atomic.Int64
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	begun := time.Now()
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.lastConnect.Store(int64(time.Since(begun)))
	d.connections.Add(1)
	if tcp, ok := conn.(*net.TCPConn); ok {
		multipath, err := tcp.MultipathTCP()
		if err != nil {
			return nil, err
		}
		if multipath {
			d.multipath.Add(1)
		}
	}
	return conn, nil
}

func (d *dialer) protocol() string {
	if n := d.connections.Load(); n > 0 && d.multipath.Load() == n {
		return "mptcp"
	}
	return "tcp"
}

// client is a net/http client with its own transport: no compression and no proxy, so that both sides of a comparison
// move the same bytes the same way.
func client(protocol string, idle int, reuse bool) (*http.Client, *dialer, error) {
	multipath, err := wantsMultipath(protocol)
	if err != nil {
		return nil, nil, err
	}
	d := &dialer{}
	d.SetMultipathTCP(multipath)
	transport := &http.Transport{
		DialContext:         d.dial,
		DisableCompression:  true,
		DisableKeepAlives:   !reuse,
		MaxIdleConns:        idle,
		MaxIdleConnsPerHost: idle,
	}
	return &http.Client{Transport: transport}, d, nil
}

// get fetches one URL into a file and prints the fields of `mphttp get --json` that Go can know.
func get(args []string) error {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	url := flags.String("url", "", "what to fetch")
	output := flags.String("o", os.DevNull, "where to write it")
	protocol := flags.String("protocol", "mptcp", "tcp or mptcp")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, d, err := client(*protocol, 1, true)
	if err != nil {
		return err
	}
	file, err := os.Create(*output)
	if err != nil {
		return err
	}
	begun := time.Now()
	response, err := c.Get(*url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	size, err := io.Copy(file, response.Body)
	if err != nil {
		return err
	}
	seconds := time.Since(begun).Seconds()
	if err := file.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"url":             *url,
		"status":          response.StatusCode,
		"bytes":           size,
		"seconds":         seconds,
		"connect_seconds": time.Duration(d.lastConnect.Load()).Seconds(),
		"protocol":        d.protocol(),
	})
}

// load sends many requests for one URL from several workers and prints how long they took together.
func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	url := flags.String("url", "", "what to fetch")
	protocol := flags.String("protocol", "mptcp", "tcp or mptcp")
	requests := flags.Int64("requests", 1000, "how many requests in all")
	workers := flags.Int("workers", 8, "how many at a time")
	reuse := flags.Bool("reuse", true, "keep connections alive between requests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, d, err := client(*protocol, *workers, *reuse)
	if err != nil {
		return err
	}
	var left, failed, size atomic.Int64
	var firstError sync.Once
	left.Store(*requests)
	var group sync.WaitGroup
	begun := time.Now()
	for range *workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for left.Add(-1) >= 0 {
				n, err := fetch(c, *url)
				size.Add(n)
				if err != nil {
					failed.Add(1)
					firstError.Do(func() { fmt.Fprintln(os.Stderr, "peer:", err) })
				}
			}
		}()
	}
	group.Wait()
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests":    *requests,
		"failed":      failed.Load(),
		"bytes":       size.Load(),
		"seconds":     time.Since(begun).Seconds(),
		"connections": d.connections.Load(),
		"protocol":    d.protocol(),
	})
}

func fetch(c *http.Client, url string) (int64, error) {
	response, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", url, response.Status)
	}
	return n, err
}
