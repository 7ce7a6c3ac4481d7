// Shows what is to go, and erases it. Usage: LACUNA_TOKEN=… go run erase.go ADDRESS PHOTO MASK RESULT
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"time"
)

// post sends files by their field names, and waits as the service says where it is busy.
func post(url string, files map[string]string) ([]byte, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, path := range files {
		file, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		part, err := form.CreateFormFile(name, path)
		if err != nil {
			return nil, err
		}
		if _, err := part.Write(file); err != nil {
			return nil, err
		}
	}
	if err := form.Close(); err != nil {
		return nil, err
	}
	for {
		request, err := http.NewRequest("POST", url, bytes.NewReader(body.Bytes()))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+os.Getenv("LACUNA_TOKEN"))
		request.Header.Set("Content-Type", form.FormDataContentType())
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		picture, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		switch {
		case err != nil:
			return nil, err
		case answer.StatusCode == http.StatusOK:
			return picture, nil
		case answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusServiceUnavailable:
			return nil, fmt.Errorf("%s: %s", answer.Status, picture)
		}
		seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Duration(seconds) * time.Second)
	}
}

// save posts files and writes what comes back.
func save(url string, files map[string]string, path string) {
	picture, err := post(url, files)
	if err == nil {
		err = os.WriteFile(path, picture, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	address, photo, mask, result := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	save(address+"/mask", map[string]string{"file": photo}, mask)
	save(address+"/inpaint", map[string]string{"file": photo, "mask": mask}, result)
}
