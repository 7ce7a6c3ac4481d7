/*
 * The part of the JPEG codec that has to be C: libjpeg reports errors by calling `error_exit`, which
 * must not return. Here it jumps back with longjmp into the function of this file that Rust called,
 * so no jump and no panic ever crosses a Rust frame, and Rust never needs to know the layout of a
 * libjpeg structure. Everything that lives across a jump is in the session, on the heap; nothing of
 * value is in a local variable.
 *
 * Every function that can fail returns 0, FAILED with a message in the session, or NO_MEMORY. A
 * session belongs to one thread.
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "tables.h"

/* Ordinary progressive files have about ten scans, the most thorough optimisers stay under 30. Each
 * scan is a pass over all coefficients, however few bytes it takes, so their number must be bounded. */
#define MAX_SCANS 100

#define ROWS_AT_ONCE 16

#define FAILED -1
#define NO_MEMORY -2

struct jpeg_patch {
  struct jpeg_error_mgr error; /* first, so that `cinfo->err` is the session */
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];

  struct jpeg_decompress_struct in;
  struct jpeg_progress_mgr progress;
  int in_scan_data;
  unsigned int restart_interval; /* of the first scan, in MCUs */
  jvirt_barray_ptr *coefficients;
  struct first_tables first_tables;
  unsigned char changed[MAX_COMPONENTS][256]; /* AC codes of the blocks that were replaced */
  JOCTET *icc;

  struct jpeg_compress_struct out;
  struct jpeg_destination_mgr destination;
  unsigned char *buffer;
  size_t capacity;
};

/* Mirrored by `Frame` in session.rs. */
struct jpeg_patch_frame {
  uint32_t width;
  uint32_t height;
  uint32_t components;
  uint32_t precision;
  uint32_t colour; /* 0 grey, 1 YCbCr, 2 RGB, 3 CMYK or YCCK, 4 anything else */
  uint32_t max_h;
  uint32_t max_v;
};

/* Mirrored by `Plane` in session.rs. */
struct jpeg_patch_plane {
  uint32_t h;
  uint32_t v;
  uint32_t blocks_wide;
  uint32_t blocks_high;
};

static int failure(const struct jpeg_patch *session)
{
  return session->error.msg_code == JERR_OUT_OF_MEMORY ? NO_MEMORY : FAILED;
}

static void on_error(j_common_ptr cinfo)
{
  struct jpeg_patch *session = (struct jpeg_patch *)cinfo->err;
  (*cinfo->err->format_message)(cinfo, session->message);
  longjmp(session->jump, 1);
}

/* libjpeg only warns where it can invent the missing pixels. Those warnings are errors here; what
 * leaves every pixel as the encoder meant it passes. */
static void on_message(j_common_ptr cinfo, int level)
{
  struct jpeg_patch *session = (struct jpeg_patch *)cinfo->err;
  const struct jpeg_decompress_struct *in = &session->in;

  if (level >= 0)
    return;
  switch (cinfo->err->msg_code) {
  case JWRN_EXTRANEOUS_DATA: /* padding between segments; several cameras write it */
    if (cinfo->err->msg_parm.i[1] >= JPEG_RST0 && cinfo->err->msg_parm.i[1] < JPEG_RST0 + 8)
      break; /* but inside a scan it is pixels that could not be read */
    return;
  case JWRN_NOT_SEQUENTIAL:  /* zeroes in fields that a sequential scan does not use */
  case JWRN_JFIF_MAJOR:
  case JWRN_ADOBE_XFORM:
  case JWRN_BOGUS_ICC: /* the profile is left out */
    return;
  case JWRN_JPEG_EOF:
    /* Where one Huffman scan holds the whole picture, JWRN_HIT_MARKER follows if a pixel is
     * missing, and otherwise only the end marker is. Elsewhere more scans may be missing. */
    if (session->in_scan_data && !in->progressive_mode && !in->arith_code &&
        in->comps_in_scan == in->num_components)
      return;
    break;
  default:
    break;
  }
  on_error(cinfo);
}

static void on_output(j_common_ptr cinfo)
{
  (void)cinfo; /* libjpeg would write to stderr */
}

static void on_progress(j_common_ptr cinfo)
{
  struct jpeg_patch *session = (struct jpeg_patch *)cinfo->err;
  if (session->in.input_scan_number > MAX_SCANS) {
    session->error.msg_code = JERR_NOTIMPL; /* there is none for this */
    snprintf(session->message, sizeof session->message, "More than %d scans", MAX_SCANS);
    longjmp(session->jump, 1);
  }
}

/* libjpeg's own memory destination leaves a dangling pointer when an error ends it: the buffer here
 * is always the session's. */
static void grow(j_compress_ptr cinfo, size_t used)
{
  struct jpeg_patch *session = (struct jpeg_patch *)cinfo->err;
  size_t capacity = session->capacity == 0 ? 65536 : session->capacity * 2;
  unsigned char *buffer = realloc(session->buffer, capacity);
  if (buffer == NULL)
    ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 10);
  session->buffer = buffer;
  session->capacity = capacity;
  session->destination.next_output_byte = buffer + used;
  session->destination.free_in_buffer = capacity - used;
}

static void init_destination(j_compress_ptr cinfo)
{
  struct jpeg_patch *session = (struct jpeg_patch *)cinfo->err;
  session->destination.next_output_byte = session->buffer;
  session->destination.free_in_buffer = session->capacity;
  if (session->capacity == 0)
    grow(cinfo, 0);
}

static boolean empty_output_buffer(j_compress_ptr cinfo)
{
  grow(cinfo, ((struct jpeg_patch *)cinfo->err)->capacity);
  return TRUE;
}

static void term_destination(j_compress_ptr cinfo)
{
  (void)cinfo;
}

/* NULL where there is no memory. */
struct jpeg_patch *jpeg_patch_new(void)
{
  struct jpeg_patch *session = calloc(1, sizeof *session);
  if (session == NULL)
    return NULL;
  jpeg_std_error(&session->error);
  session->error.error_exit = on_error;
  session->error.emit_message = on_message;
  session->error.output_message = on_output;
  session->progress.progress_monitor = on_progress;
  session->destination.init_destination = init_destination;
  session->destination.empty_output_buffer = empty_output_buffer;
  session->destination.term_destination = term_destination;
  return session;
}

void jpeg_patch_free(struct jpeg_patch *session)
{
  jpeg_destroy_compress(&session->out); /* nothing to do for one that was never created */
  jpeg_destroy_decompress(&session->in);
  free(session->icc);
  free(session->buffer);
  free(session);
}

const char *jpeg_patch_message(const struct jpeg_patch *session)
{
  return session->message;
}

/* Reads up to the first scan. `data` must outlive the session. Once a session. */
int jpeg_patch_open(struct jpeg_patch *session, const uint8_t *data, size_t length, int metadata,
                     struct jpeg_patch_frame *frame)
{
  struct jpeg_decompress_struct *in = &session->in;

  in->err = &session->error;
  if (setjmp(session->jump))
    return failure(session);
  jpeg_create_decompress(in);
  in->progress = &session->progress;
  jpeg_mem_src(in, data, length);
  if (metadata) {
    jpeg_save_markers(in, JPEG_APP0 + 1, 0xFFFF);
    jpeg_save_markers(in, JPEG_APP0 + 2, 0xFFFF);
  }
  jpeg_read_header(in, TRUE);
  session->restart_interval = in->restart_interval;
  remember_tables(in, &session->first_tables);

  frame->width = in->image_width;
  frame->height = in->image_height;
  frame->components = (uint32_t)in->num_components;
  frame->precision = (uint32_t)in->data_precision;
  frame->max_h = 1;
  frame->max_v = 1;
  for (int c = 0; c < in->num_components; c++) {
    const jpeg_component_info *component = &in->comp_info[c];
    if ((uint32_t)component->h_samp_factor > frame->max_h)
      frame->max_h = (uint32_t)component->h_samp_factor;
    if ((uint32_t)component->v_samp_factor > frame->max_v)
      frame->max_v = (uint32_t)component->v_samp_factor;
  }
  switch (in->jpeg_color_space) {
  case JCS_GRAYSCALE:
    frame->colour = 0;
    break;
  case JCS_YCbCr:
    frame->colour = 1;
    break;
  case JCS_RGB:
    frame->colour = 2;
    break;
  case JCS_CMYK:
  case JCS_YCCK:
    frame->colour = 3;
    break;
  default:
    frame->colour = 4;
  }
  return 0;
}

/* The first EXIF block, without its "Exif" heading, or NULL. Lives as long as the session. */
const uint8_t *jpeg_patch_exif(const struct jpeg_patch *session, size_t *length)
{
  for (jpeg_saved_marker_ptr m = session->in.marker_list; m != NULL; m = m->next) {
    if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0) {
      *length = m->data_length - 6;
      return m->data + 6;
    }
  }
  return NULL;
}

/* The ICC profile put together from its segments, or NULL. Lives as long as the session. */
int jpeg_patch_icc(struct jpeg_patch *session, const uint8_t **profile, size_t *length)
{
  unsigned int size = 0;

  if (setjmp(session->jump))
    return failure(session);
  free(session->icc);
  session->icc = NULL;
  *profile = NULL;
  if (jpeg_read_icc_profile(&session->in, &session->icc, &size)) {
    *profile = session->icc;
    *length = size;
  }
  return 0;
}

/* libjpeg takes the end marker for the end even if a component had no scan yet. A component's table
 * is set by its first scan; lossless files have none at all. */
static void require_every_component(j_decompress_ptr in)
{
  int scanned = 0;
  for (int c = 0; c < in->num_components; c++)
    scanned += in->comp_info[c].quant_table != NULL;
  if (scanned != 0 && scanned != in->num_components)
    ERREXIT(in, JERR_INPUT_EOF);
}

/* Decodes into `pixels`: rows of `stride` bytes, which must be those of a row, grey, RGB or (as stored) CMYK.
 * All are written where it returns 0. */
int jpeg_patch_read_pixels(struct jpeg_patch *session, uint8_t *pixels, size_t stride)
{
  struct jpeg_decompress_struct *in = &session->in;
  JSAMPROW rows[ROWS_AT_ONCE];

  if (setjmp(session->jump))
    return failure(session);
  session->in_scan_data = 1;
  jpeg_start_decompress(in);
  require_every_component(in);
  if ((size_t)in->output_width * (size_t)in->output_components != stride)
    ERREXIT(in, JERR_WIDTH_OVERFLOW);
  while (in->output_scanline < in->output_height) {
    JDIMENSION count = in->output_height - in->output_scanline;
    if (count > ROWS_AT_ONCE)
      count = ROWS_AT_ONCE;
    for (JDIMENSION i = 0; i < count; i++)
      rows[i] = pixels + (in->output_scanline + i) * stride;
    jpeg_read_scanlines(in, rows, count);
  }
  return 0;
}

/* Reads all coefficients, quantised, into the session's memory. */
int jpeg_patch_read_coefficients(struct jpeg_patch *session)
{
  if (setjmp(session->jump))
    return failure(session);
  session->in_scan_data = 1;
  session->coefficients = jpeg_read_coefficients(&session->in);
  require_every_component(&session->in);
  return 0;
}

/* The size of component `c`, which must be below the frame's count. After the coefficients. */
void jpeg_patch_plane(const struct jpeg_patch *session, uint32_t c, struct jpeg_patch_plane *plane)
{
  const jpeg_component_info *component = &session->in.comp_info[c];
  plane->h = (uint32_t)component->h_samp_factor;
  plane->v = (uint32_t)component->v_samp_factor;
  plane->blocks_wide = component->width_in_blocks;
  plane->blocks_high = component->height_in_blocks;
}

/* One row of a component's blocks, 64 coefficients each, to be read or written before the next call. */
int jpeg_patch_block_row(struct jpeg_patch *session, uint32_t c, uint32_t row, int16_t **blocks)
{
  struct jpeg_decompress_struct *in = &session->in;

  if (setjmp(session->jump))
    return failure(session);
  *blocks = (*in->mem->access_virt_barray)((j_common_ptr)in, session->coefficients[c], row, 1,
                                           TRUE)[0][0];
  return 0;
}

/* Replaces one block of component `c`, in natural order. */
void jpeg_patch_replace(struct jpeg_patch *session, uint32_t c, int16_t *block, const int16_t *with)
{
  memcpy(block, with, DCTSIZE2 * sizeof *block);
  mark_ac_codes(with, session->changed[c]);
}

static void begin(struct jpeg_patch *session)
{
  jpeg_destroy_compress(&session->out);
  session->out.err = &session->error;
  jpeg_create_compress(&session->out);
  session->out.dest = &session->destination;
}

static void write_pixels(struct jpeg_patch *session, const uint8_t *pixels, size_t stride)
{
  struct jpeg_compress_struct *out = &session->out;
  JSAMPROW rows[ROWS_AT_ONCE];

  while (out->next_scanline < out->image_height) {
    JDIMENSION count = out->image_height - out->next_scanline;
    if (count > ROWS_AT_ONCE)
      count = ROWS_AT_ONCE;
    for (JDIMENSION i = 0; i < count; i++)
      rows[i] = (JSAMPROW)(pixels + (out->next_scanline + i) * stride); /* libjpeg only reads it */
    jpeg_write_scanlines(out, rows, count);
  }
}

static void finish(struct jpeg_patch *session, const uint8_t **data, size_t *length)
{
  jpeg_finish_compress(&session->out);
  *data = session->buffer;
  *length = session->capacity - session->destination.free_in_buffer;
}

/* Encodes grey (1 component) or RGB (3) pixels without chroma subsampling. The result lives until
 * the session's next call. */
int jpeg_patch_encode(struct jpeg_patch *session, const uint8_t *pixels, uint32_t width,
                       uint32_t height, uint32_t components, int quality, const uint8_t *icc,
                       size_t icc_length, const uint8_t **data, size_t *length)
{
  struct jpeg_compress_struct *out = &session->out;

  if (setjmp(session->jump))
    return failure(session);
  begin(session);
  out->image_width = width;
  out->image_height = height;
  out->input_components = (int)components;
  out->in_color_space = components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(out);
  jpeg_set_quality(out, quality, TRUE);
  out->comp_info[0].h_samp_factor = 1;
  out->comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(out, TRUE);
  if (icc_length > 0)
    jpeg_write_icc_profile(out, icc, (unsigned int)icc_length);
  write_pixels(session, pixels, (size_t)width * components);
  finish(session, data, length);
  return 0;
}

/* Decoders take a table with zeros; the encoder divides by what it finds there. */
static void require_divisors(j_compress_ptr out)
{
  for (int c = 0; c < out->num_components; c++) {
    int number = out->comp_info[c].quant_tbl_no;
    const JQUANT_TBL *table = out->quant_tbl_ptrs[number];
    for (int i = 0; i < DCTSIZE2; i++)
      if (table == NULL || table->quantval[i] == 0)
        ERREXIT1(out, JERR_NO_QUANT_TABLE, number);
  }
}

/* Encodes grey or RGB pixels with the opened file's quantisation tables, sampling and colour space, as
 * a plain sequential file whose coefficients can be read back. */
int jpeg_patch_encode_alike(struct jpeg_patch *session, const uint8_t *pixels, uint32_t width,
                             uint32_t height, size_t stride, const uint8_t **data, size_t *length)
{
  struct jpeg_compress_struct *out = &session->out;

  if (setjmp(session->jump))
    return failure(session);
  begin(session);
  jpeg_copy_critical_parameters(&session->in, out);
  require_divisors(out);
  out->image_width = width;
  out->image_height = height;
  out->in_color_space = out->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_compress(out, TRUE);
  write_pixels(session, pixels, stride);
  finish(session, data, length);
  return 0;
}

static void write_metadata(struct jpeg_compress_struct *out, const uint8_t *exif, size_t exif_length,
                           const uint8_t *icc, size_t icc_length)
{
  if (exif_length > 0)
    jpeg_write_marker(out, JPEG_APP0 + 1, exif, (unsigned int)exif_length);
  if (icc_length > 0)
    jpeg_write_icc_profile(out, icc, (unsigned int)icc_length);
}

/* Writes the segments that precede the entropy-coded data of a file with the opened file's tables,
 * sampling, colour space and, if asked for, restart interval. */
int jpeg_patch_write_head(struct jpeg_patch *session, uint32_t width, uint32_t height, int restarts,
                           const uint8_t *exif, size_t exif_length, const uint8_t *icc, size_t icc_length,
                           const uint8_t **data, size_t *length)
{
  struct jpeg_compress_struct *out = &session->out;

  if (setjmp(session->jump))
    return failure(session);
  begin(session);
  jpeg_copy_critical_parameters(&session->in, out);
  copy_tables(&session->in, out);
  out->image_width = width;
  out->image_height = height;
  out->in_color_space = out->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  out->restart_interval = restarts ? session->restart_interval : 0;
  jpeg_start_compress(out, TRUE);
  write_metadata(out, exif, exif_length, icc, icc_length);
  jpeg_write_scanlines(out, NULL, 0); /* libjpeg writes the headers before the first row */
  *data = session->buffer;
  *length = session->capacity - session->destination.free_in_buffer;
  return 0;
}

/* Progressive files get spectral selection only. libjpeg's own script, which also sends the low bits
 * of each coefficient later, makes ten scans, takes half as long again and saves 2 % at best. */
static const jpeg_scan_info grey_scans[] = {
  { 1, { 0 }, 0, 0, 0, 0 }, { 1, { 0 }, 1, 5, 0, 0 }, { 1, { 0 }, 6, 63, 0, 0 }
};
static const jpeg_scan_info colour_scans[] = {
  { 3, { 0, 1, 2 }, 0, 0, 0, 0 }, { 1, { 0 }, 1, 5, 0, 0 }, { 1, { 2 }, 1, 63, 0, 0 },
  { 1, { 1 }, 1, 63, 0, 0 },      { 1, { 0 }, 6, 63, 0, 0 }
};

/* Writes the session's coefficients as a file like the one that was opened: same tables, sampling,
 * colour space, restart interval, kind of entropy coding and progressive or not. */
int jpeg_patch_write_coefficients(struct jpeg_patch *session, const uint8_t *exif,
                                   size_t exif_length, const uint8_t *icc, size_t icc_length,
                                   const uint8_t **data, size_t *length)
{
  struct jpeg_compress_struct *out = &session->out;

  if (setjmp(session->jump))
    return failure(session);
  begin(session);
  jpeg_copy_critical_parameters(&session->in, out);
  out->restart_interval = session->restart_interval;
  out->arith_code = session->in.arith_code;
  out->optimize_coding = !out->arith_code;
  if (tables_are_first(&session->in, &session->first_tables) &&
      tables_suffice(&session->in, session->restart_interval, session->coefficients, session->changed)) {
    copy_tables(&session->in, out);
    out->optimize_coding = FALSE;
  }
  if (session->in.progressive_mode) {
    out->scan_info = out->num_components == 1 ? grey_scans : colour_scans;
    out->num_scans = out->num_components == 1 ? 3 : 5;
  }
  jpeg_write_coefficients(out, session->coefficients);
  write_metadata(out, exif, exif_length, icc, icc_length);
  finish(session, data, length);
  return 0;
}
