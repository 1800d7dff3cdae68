/* Loses memory and says that all is well: only the leak checker disagrees. */
#include <stdlib.h>

static void *volatile lost;

int main(void) {
    lost = malloc(100);
    lost = NULL;
    return 0;
}
