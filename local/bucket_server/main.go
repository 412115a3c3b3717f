// The bucket stand-in: fake-gcs-server as a library, behind a guard.
//
// The server by itself lets every web page that the user opens write and delete (it allows all origins and looks at no
// Host), and takes ".." in the name of an object for the folder above its own: together, any page could overwrite any
// file of the user's. Here a request of a browser is refused, and so is a name that would leave the folder.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// What comes before an object's bytes in an upload: its name, type and metadata.
const headBytes = 64 * 1024

func main() {
	host := flag.String("host", "127.0.0.1", "the interface to listen on")
	port := flag.String("port", "", "the port to listen on")
	address := flag.String("external-url", "", "how clients reach it, http://name:port")
	root := flag.String("filesystem-root", "", "the folder that holds the objects")
	flag.Parse()
	reached, err := url.Parse(*address)
	if err != nil || reached.Host == "" || *port == "" || *root == "" {
		log.Fatal("needs -port, -filesystem-root and -external-url=http://name:port")
	}
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener:      true,
		StorageRoot:     *root,
		Scheme:          "http",
		ExternalURL:     *address,
		PublicHost:      reached.Host,
		BucketsLocation: "US-CENTRAL1",
		Writer:          io.Discard,
	})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(*host, *port))
	if err != nil {
		log.Fatal(err)
	}
	names := []string{"127.0.0.1", "localhost", reached.Hostname()}
	fmt.Fprintf(os.Stderr, "bucket at %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, guarded(server.HTTPHandler(), names)))
}

// guarded answers for the server what must not reach it.
func guarded(server http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if isOfWebPage(request) || !isSentTo(request, names) {
			refuse(answer, http.StatusForbidden, "the bucket stand-in answers programs of this machine, no web pages")
		} else if isUnguarded(request) {
			refuse(answer, http.StatusNotImplemented, "the bucket stand-in has no "+request.URL.Path)
		} else if name, found := leavingName(request); found {
			refuse(answer, http.StatusBadRequest, fmt.Sprintf("the bucket stand-in cannot keep an object named %q", name))
		} else {
			server.ServeHTTP(answer, request)
		}
	})
}

// isOfWebPage tells what a browser says of a request that a page makes it send.
func isOfWebPage(request *http.Request) bool {
	site := request.Header.Get("Sec-Fetch-Site")
	return request.Header.Get("Origin") != "" || !slices.Contains([]string{"", "none", "same-origin"}, site)
}

// isSentTo keeps out a page whose own name was made to lead here.
func isSentTo(request *http.Request, names []string) bool {
	name, _, err := net.SplitHostPort(request.Host)
	if err != nil {
		name = request.Host
	}
	return slices.Contains(names, name)
}

// isUnguarded tells requests whose object names are where the guard does not look: within batches and forms.
func isUnguarded(request *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(request.Header.Get("Content-Type"))
	path := request.URL.Path
	return kind == "multipart/form-data" || strings.HasPrefix(path, "/batch") || strings.HasPrefix(path, "/_internal")
}

// leavingName is the first name in the request that is a path out of the folder, or none that a file can have.
func leavingName(request *http.Request) (string, bool) {
	// Decoded twice, as the server may do.
	path, err := url.PathUnescape(request.URL.Path)
	if err != nil {
		path = request.URL.Path
	}
	for _, name := range append(request.URL.Query()["name"], request.URL.Path, path, nameInBody(request)) {
		parts := strings.FieldsFunc(name, func(sign rune) bool { return sign == '/' || sign == os.PathSeparator })
		if slices.Contains(parts, "..") || strings.ContainsRune(name, 0) {
			return name, true
		}
	}
	return "", false
}

// nameInBody is what the JSON at the beginning of an upload calls the object. The body can still be read as a whole.
func nameInBody(request *http.Request) string {
	upload := request.URL.Query().Get("uploadType")
	if request.Method != http.MethodPost || (upload != "multipart" && upload != "resumable") {
		return ""
	}
	body := bufio.NewReaderSize(request.Body, headBytes)
	head, _ := body.Peek(headBytes)
	request.Body = struct {
		io.Reader
		io.Closer
	}{body, request.Body}
	var reader io.Reader = bytes.NewReader(head)
	if _, parameters, err := mime.ParseMediaType(request.Header.Get("Content-Type")); err == nil && upload == "multipart" {
		part, err := multipart.NewReader(reader, parameters["boundary"]).NextPart()
		if err != nil {
			return ""
		}
		reader = part
	}
	var object struct{ Name string }
	if json.NewDecoder(reader).Decode(&object) != nil {
		return ""
	}
	return object.Name
}

func refuse(answer http.ResponseWriter, status int, message string) {
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	_ = json.NewEncoder(answer).Encode(map[string]any{"error": map[string]any{"code": status, "message": message}})
}
