// A stand-in for of-watchdog in HTTP mode where that cannot be had: a relay in Go that does for each request what
// of-watchdog's sources say it does (github.com/openfaas/of-watchdog: pkg/watchdog.go, executor/http_runner.go,
// metrics/metrics.go). It counts the request for Prometheus, sends it on with http.Client under a deadline, copies the
// headers both ways, adds the duration and writes one line of log. Locks, health checks and the function's process are left out.
//
// Usage: http_relay LISTEN_PORT UPSTREAM_PORT
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const timeout = 10 * time.Second

var labels = []string{"code", "method"}

var (
	requests  = promauto.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, labels)
	durations = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds"}, labels)
	inFlight  = promauto.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight"})
)

// Connections wait for at most 500 ms for their next request, as of-watchdog's do.
var client = http.Client{Transport: &http.Transport{
	DialContext:         (&net.Dialer{Timeout: timeout, KeepAlive: 10 * time.Second}).DialContext,
	MaxIdleConns:        100,
	MaxIdleConnsPerHost: 100,
	IdleConnTimeout:     500 * time.Millisecond,
}}

func main() {
	server := http.Server{
		Addr:         "127.0.0.1:" + os.Args[1],
		Handler:      counted(relay("http://127.0.0.1:" + os.Args[2])),
		ReadTimeout:  timeout,
		WriteTimeout: timeout,
	}
	log.Fatal(server.ListenAndServe())
}

func counted(next http.Handler) http.Handler {
	next = promhttp.InstrumentHandlerDuration(durations, next)
	next = promhttp.InstrumentHandlerCounter(requests, next)
	return promhttp.InstrumentHandlerInFlight(inFlight, next)
}

func relay(upstream string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		deadline, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		request, err := http.NewRequestWithContext(deadline, r.Method, upstream+r.RequestURI, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		maps.Copy(request.Header, r.Header)
		request.Host = r.Host
		answer, err := client.Do(request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		maps.Copy(w.Header(), answer.Header)
		took := time.Since(started).Seconds()
		w.Header().Set("X-Duration-Seconds", fmt.Sprintf("%f", took))
		w.WriteHeader(answer.StatusCode)
		if _, err := io.Copy(w, answer.Body); err != nil {
			log.Printf("the answer broke off: %v", err)
		}
		log.Printf("%s %s - %s - %d bytes (%.4fs)", r.Method, r.RequestURI, answer.Status, answer.ContentLength, took)
	}
}
