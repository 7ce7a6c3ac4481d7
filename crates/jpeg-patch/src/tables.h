/*
 * Taking over a file's Huffman tables, for shim.c. Making the best tables for a file takes a pass over
 * all its coefficients, which costs as much as writing them; the file's own are nearly as good when
 * little has changed, as long as they have a code for everything.
 */
#include <string.h>

#include <jpeglib.h>

enum { END_OF_BLOCK = 0x00, SIXTEEN_ZEROES = 0xF0 };

static void codes_of(const JHUFF_TBL *table, unsigned char has[256])
{
  int count = 0;

  memset(has, 0, 256);
  if (table == NULL)
    return;
  for (int length = 1; length <= 16; length++)
    count += table->bits[length];
  for (int i = 0; i < count && i < 256; i++)
    has[table->huffval[i]] = 1;
}

static const JHUFF_TBL *dc_table(const struct jpeg_decompress_struct *in, int c)
{
  return in->dc_huff_tbl_ptrs[in->comp_info[c].dc_tbl_no];
}

static const JHUFF_TBL *ac_table(const struct jpeg_decompress_struct *in, int c)
{
  return in->ac_huff_tbl_ptrs[in->comp_info[c].ac_tbl_no];
}

/* Whether the file has one table a component and kind, for the whole of it. */
static int has_tables(const struct jpeg_decompress_struct *in)
{
  return !in->progressive_mode && !in->arith_code && in->input_scan_number == 1 &&
         in->comps_in_scan == in->num_components;
}

/* Positions of a block's coefficients in the order in which they are coded (T.81, figure A.6). */
static const unsigned char zigzag[DCTSIZE2] = {
  0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
  41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
  30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63
};

static int size_of(int value)
{
  int size = 0;
  for (int rest = value < 0 ? -value : value; rest != 0; rest >>= 1)
    size++;
  return size;
}

/* Marks the AC codes that writing a block will need. */
static void mark_ac_codes(const JCOEF *block, unsigned char needs[256])
{
  int run = 0;

  for (int k = 1; k < DCTSIZE2; k++) {
    int value = block[zigzag[k]];
    if (value == 0) {
      run++;
      continue;
    }
    if (run > 15)
      needs[SIXTEEN_ZEROES] = 1;
    needs[((run & 15) << 4 | size_of(value)) & 255] = 1;
    run = 0;
  }
  if (run > 0)
    needs[END_OF_BLOCK] = 1;
}

static void take_snapshot(const JHUFF_TBL *table, JHUFF_TBL *to)
{
  memset(to, 0, sizeof *to);
  if (table == NULL)
    return;
  memcpy(to->bits, table->bits, sizeof to->bits);
  memcpy(to->huffval, table->huffval, sizeof to->huffval);
}

/* The tables that hold when the first scan begins. */
struct first_tables {
  JHUFF_TBL dc[NUM_HUFF_TBLS];
  JHUFF_TBL ac[NUM_HUFF_TBLS];
};

static void remember_tables(const struct jpeg_decompress_struct *in, struct first_tables *first)
{
  for (int i = 0; i < NUM_HUFF_TBLS; i++) {
    take_snapshot(in->dc_huff_tbl_ptrs[i], &first->dc[i]);
    take_snapshot(in->ac_huff_tbl_ptrs[i], &first->ac[i]);
  }
}

static int is_same(const JHUFF_TBL *table, const JHUFF_TBL *first)
{
  JHUFF_TBL now;
  take_snapshot(table, &now);
  return memcmp(now.bits, first->bits, sizeof now.bits) == 0 &&
         memcmp(now.huffval, first->huffval, sizeof now.huffval) == 0;
}

/* Whether the tables are still those with which the scan was coded: a file may define others after
 * it, which never coded anything. */
static int tables_are_first(const struct jpeg_decompress_struct *in, const struct first_tables *first)
{
  for (int i = 0; i < NUM_HUFF_TBLS; i++)
    if (!is_same(in->dc_huff_tbl_ptrs[i], &first->dc[i]) ||
        !is_same(in->ac_huff_tbl_ptrs[i], &first->ac[i]))
      return 0;
  return 1;
}

/* Marks the codes that writing a component's blocks will need, beyond the AC codes that the file itself
 * had for them: the sizes of the DC differences, of each block to the one before it in its scan, which
 * starts anew at a restart marker, and the AC codes of blocks with a last coefficient. Decoders put
 * there what a faulty run would have put beyond the block, and it takes another code than it had. */
static void mark_codes(j_decompress_ptr in, unsigned int restart_interval, jvirt_barray_ptr coefficients,
                       int c, unsigned char dc[256], unsigned char ac[256])
{
  const jpeg_component_info *component = &in->comp_info[c];
  /* A scan of one component has MCUs of one block. */
  JDIMENSION wide = in->comps_in_scan == 1 ? 1 : (JDIMENSION)component->h_samp_factor;
  JDIMENSION high = in->comps_in_scan == 1 ? 1 : (JDIMENSION)component->v_samp_factor;
  unsigned int until_restart = restart_interval;
  int last = 0;

  dc[0] = 1; /* blocks beyond the picture's edge repeat the one before */
  for (JDIMENSION top = 0; top < component->height_in_blocks; top += high) {
    JDIMENSION rows = component->height_in_blocks - top < high ? component->height_in_blocks - top : high;
    JBLOCKARRAY blocks = (*in->mem->access_virt_barray)((j_common_ptr)in, coefficients, top, rows, FALSE);
    for (JDIMENSION left = 0; left < component->width_in_blocks; left += wide) {
      if (restart_interval != 0 && until_restart-- == 0) {
        until_restart = restart_interval - 1;
        last = 0;
      }
      for (JDIMENSION y = 0; y < rows; y++) {
        for (JDIMENSION x = left; x < left + wide && x < component->width_in_blocks; x++) {
          const JCOEF *block = blocks[y][x];
          dc[size_of(block[0] - last)] = 1;
          last = block[0];
          if (block[DCTSIZE2 - 1] != 0)
            mark_ac_codes(block, ac);
        }
      }
    }
  }
}

static int has_all(const JHUFF_TBL *table, const unsigned char needs[256])
{
  unsigned char has[256];

  codes_of(table, has);
  for (int i = 0; i < 256; i++)
    if (needs[i] && !has[i])
      return 0;
  return 1;
}

/* Whether the tables can code all coefficients as they are now; `changed` has the AC codes of each
 * component's blocks that were replaced. libjpeg does not check: for a code that is missing it writes
 * nothing, and the file is broken. */
static int tables_suffice(j_decompress_ptr in, unsigned int restart_interval,
                          jvirt_barray_ptr *coefficients,
                          const unsigned char changed[MAX_COMPONENTS][256])
{
  if (!has_tables(in))
    return 0;
  for (int c = 0; c < in->num_components; c++) {
    unsigned char dc[256] = { 0 }, ac[256];

    memcpy(ac, changed[c], sizeof ac);
    ac[END_OF_BLOCK] = 1; /* the file might have ended its blocks in an unusual way */
    mark_codes(in, restart_interval, coefficients[c], c, dc, ac);
    if (!has_all(dc_table(in, c), dc) || !has_all(ac_table(in, c), ac))
      return 0;
  }
  return 1;
}

static void copy_table(j_compress_ptr out, JHUFF_TBL **to, const JHUFF_TBL *from)
{
  if (from == NULL)
    ERREXIT1(out, JERR_NO_HUFF_TABLE, 0);
  if (*to == NULL)
    *to = jpeg_alloc_huff_table((j_common_ptr)out);
  memcpy((*to)->bits, from->bits, sizeof from->bits);
  memcpy((*to)->huffval, from->huffval, sizeof from->huffval);
  (*to)->sent_table = FALSE;
}

static void copy_tables(const struct jpeg_decompress_struct *in, j_compress_ptr out)
{
  for (int c = 0; c < in->num_components; c++) {
    int dc = in->comp_info[c].dc_tbl_no, ac = in->comp_info[c].ac_tbl_no;
    out->comp_info[c].dc_tbl_no = dc;
    out->comp_info[c].ac_tbl_no = ac;
    copy_table(out, &out->dc_huff_tbl_ptrs[dc], in->dc_huff_tbl_ptrs[dc]);
    copy_table(out, &out->ac_huff_tbl_ptrs[ac], in->ac_huff_tbl_ptrs[ac]);
  }
}
